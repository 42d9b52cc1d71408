//! Borrowing the login of the Azure command line (protocol 1.7).

use std::process::{Output, Stdio};

use serde::Deserialize;
use tokio::process::Command;

use super::entra::Issued;
use super::failure::SignInFailure;
use crate::synapse::wire::TokenAnswer;
use crate::time::{Delay, Timestamp};

/// How long the command may take.
const LIMIT: Delay = Delay::from_secs(10);

/// The Azure command line.
#[derive(Clone, Debug)]
pub struct AzureCli {
    /// Where to look for `az`, if not where this process looks.
    pub search_path: Option<String>,
    /// Whose directory to sign in to, if not the one logged in to.
    pub tenant: Option<String>,
    /// How long it may take.
    pub limit: Delay,
}

impl AzureCli {
    /// Takes as much time as the vendor's libraries.
    pub fn new(search_path: Option<String>, tenant: Option<String>) -> Self {
        Self { search_path, tenant, limit: LIMIT }
    }

    /// Asks for a token, once.
    pub(super) async fn request(&self, audience: &str, now: Timestamp) -> Result<Issued, SignInFailure> {
        let unusable = |reason: String| SignInFailure::Unusable { reason };
        let output = match tokio::time::timeout(self.limit.to_std(), self.command(audience).output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(unusable("the Azure command line (`az`) is not installed".to_owned()));
            }
            Ok(Err(error)) => return Err(unusable(format!("cannot run `az`: {error}"))),
            Err(_) => return Err(unusable(format!("`az` took longer than {}", self.limit.short()))),
        };
        if !output.status.success() {
            return Err(unusable(format!("`az` says: {}", first_error(&output))));
        }
        // What it prints holds the token, so it is never shown.
        let token: Printed = serde_json::from_slice(&output.stdout)
            .map_err(|_| unusable("`az` printed something that is no token".to_owned()))?;
        let expires_on = token.expires_on.or_else(|| local_epoch_s(&token.expires_on_local));
        let answer = TokenAnswer { access_token: token.access_token.into(), expires_in: None, expires_on };
        Ok(Issued::new(answer, now))
    }

    fn command(&self, audience: &str) -> Command {
        let mut command = Command::new(if cfg!(windows) { "az.cmd" } else { "az" });
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        command.args(["account", "get-access-token", "--output", "json", "--resource", audience]);
        if let Some(tenant) = &self.tenant {
            command.arg(format!("--tenant={tenant}"));
        }
        // Python looks for modules where it is started, and our folder is a stranger's repository.
        command.current_dir("/").env("AZURE_CORE_NO_COLOR", "true").stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "accessToken")]
    access_token: String,
    #[serde(default)]
    expires_on: Option<u64>,
    #[serde(default, rename = "expiresOn")]
    expires_on_local: String,
}

fn first_error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("nothing").trim_start_matches("ERROR: ").to_owned()
}

/// Reads the local time that older versions print.
fn local_epoch_s(text: &str) -> Option<u64> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::system()).ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}
