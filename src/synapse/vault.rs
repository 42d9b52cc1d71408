//! Azure Key Vault: reads one secret over REST, with the tokens, connections and repeats of any other call.
//!
//! No failure made here holds anything of a good answer: its body is the secret.
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>

use std::fmt;

use ::http::StatusCode;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::Allowance;
use super::answer::CallFailure;
use super::auth::TokenCache;
use super::endpoint::{Cloud, Endpoint, EndpointError};
use super::http::{Answer, Http, NoAnswerKind};
use super::retry::Limits;
use super::{SynapseClient, wire};
use crate::time::Delay;

/// The version of the vault's interface that every call names.
const API_VERSION: &str = "7.4";

/// Reads the secrets of one vault. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct KeyVault {
    client: SynapseClient,
}

/// Why a vault gave no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultFailure {
    /// The call failed, or the vault said no in a way of its own.
    Call(CallFailure),
    /// We are not allowed to read it.
    Forbidden {
        /// The first line of what the vault says.
        message: String,
        /// Whether it is where we call from that is not allowed, not who we are.
        is_network: bool,
    },
    /// It is there, and switched off.
    Disabled,
    /// The vault has none of this name, or not this version of it.
    NotFound,
    /// No host has the vault's name.
    NoVault {
        /// The host.
        host: String,
    },
    /// The answer holds no secret.
    Garbled {
        /// The host.
        host: String,
        /// The HTTP status.
        status: StatusCode,
    },
}

impl Cloud {
    const ALL: [Self; 3] = [Self::Public, Self::China, Self::UsGovernment];

    /// Returns the audience that tokens for vaults must name.
    pub const fn vault_audience(self) -> &'static str {
        match self {
            Self::Public => "https://vault.azure.net",
            Self::China => "https://vault.azure.cn",
            Self::UsGovernment => "https://vault.usgovcloudapi.net",
        }
    }

    const fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::China => "vault.azure.cn",
            Self::UsGovernment => "vault.usgovcloudapi.net",
        }
    }

    /// Returns the cloud that a vault's host is in; nothing for a host that is no vault's.
    pub fn of_vault(host: &str) -> Option<Self> {
        let of =
            |cloud: &Self| host.strip_suffix(cloud.vault_suffix()).is_some_and(|name| name.ends_with('.'));
        Self::ALL.into_iter().find(of)
    }
}

impl Endpoint {
    /// Returns the endpoint of the vault called `name`.
    ///
    /// Fails for a name that cannot be one.
    pub fn of_vault(name: &str, cloud: Cloud) -> Result<Self, EndpointError> {
        // The same letters as in a workspace's name: others could name another host.
        Self::of_workspace(name, cloud)?;
        Self::parse(&format!("https://{name}.{}", cloud.vault_suffix()))
    }

    /// Returns the endpoint of a vault below this one, as an emulator has it.
    pub fn vault_below(&self, name: &str) -> Option<Self> {
        Self::parse(self.path(&[name])?.as_str()).ok()
    }
}

impl KeyVault {
    /// Makes a client; touches no network.
    pub fn new(endpoint: Endpoint, cloud: Cloud, tokens: TokenCache, http: Http, limits: Limits) -> Self {
        let (audience, allowance) = (cloud.vault_audience(), Allowance::endless());
        Self { client: SynapseClient::with_limits(endpoint, audience, tokens, http, limits, allowance) }
    }

    /// Reads a secret: its newest version, or the one named.
    pub async fn secret(&self, name: &str, version: Option<&str>) -> Result<SecretString, VaultFailure> {
        let path: Vec<&str> = ["secrets", name].into_iter().chain(version).collect();
        let bad_name = || VaultFailure::Call(CallFailure::BadName { name: name.to_owned() });
        let mut url = self.client.endpoint().path(&path).ok_or_else(bad_name)?;
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
        let host = self.client.host();
        let answer = self.client.exchange(Method::GET, url, None).await.map_err(|failure| match failure {
            CallFailure::Unreachable { host, reason } if reason.kind == NoAnswerKind::NameNotFound => {
                VaultFailure::NoVault { host }
            }
            CallFailure::Garbled { host, status, .. } => VaultFailure::Garbled { host, status },
            other => VaultFailure::Call(other),
        })?;
        read(&answer, host)
    }
}

fn read(answer: &Answer, host: &str) -> Result<SecretString, VaultFailure> {
    let status = answer.status;
    let garbled = || VaultFailure::Garbled { host: host.to_owned(), status };
    let body: Value = match &answer.body {
        Ok(body) => serde_json::from_slice(body).unwrap_or(Value::Null),
        Err(_) => return Err(garbled()),
    };
    if status.is_success() {
        return body.get("value").and_then(Value::as_str).map(SecretString::from).ok_or_else(garbled);
    }
    let inner = body.pointer("/error/innererror/code").or_else(|| body.pointer("/error/innerError/code"));
    let inner = inner.and_then(Value::as_str).unwrap_or_default();
    let Some(error) = answer.body.as_ref().ok().and_then(|body| wire::service_error(body)) else {
        return Err(VaultFailure::Call(CallFailure::from_answer(answer, host)));
    };
    let message = error.message.lines().next().unwrap_or_default().trim().to_owned();
    Err(match status {
        StatusCode::FORBIDDEN if inner == "SecretDisabled" || message.contains("disabled secret") => {
            VaultFailure::Disabled
        }
        StatusCode::FORBIDDEN => VaultFailure::Forbidden {
            message,
            is_network: matches!(inner, "ForbiddenByFirewall" | "ForbiddenByConnection"),
        },
        StatusCode::NOT_FOUND => VaultFailure::NotFound,
        _ => VaultFailure::Call(CallFailure::from_answer(answer, host)),
    })
}

impl VaultFailure {
    /// Says whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Call(failure) => failure.is_transient(),
            Self::Garbled { .. } => true,
            Self::Forbidden { .. } | Self::Disabled | Self::NotFound | Self::NoVault { .. } => false,
        }
    }

    /// Returns how long the vault asked us to wait.
    pub const fn after(&self) -> Option<Delay> {
        match self {
            Self::Call(failure) => failure.after(),
            _ => None,
        }
    }

    /// Says whether we are the problem: who we are, or what we may do (exit code 10).
    pub fn is_sign_in_or_permission(&self) -> bool {
        match self {
            Self::Call(failure) => failure.is_sign_in_or_permission(),
            Self::Forbidden { .. } => true,
            _ => false,
        }
    }

    /// Returns what a person may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Call(CallFailure::SignIn(failure)) => failure.hint(),
            Self::Call(CallFailure::Refused { status: StatusCode::UNAUTHORIZED, .. }) => Some(
                "the vault does not take the token: check that it is in the tenant signed in to, and the workspace's `cloud`",
            ),
            Self::Call(_) | Self::Garbled { .. } => Some("check the network, the proxy and the vault's name"),
            Self::Forbidden { is_network: true, .. } => Some(
                "the vault's firewall lets this machine not in: allow its address, or run where it is allowed",
            ),
            Self::Forbidden { is_network: false, .. } => Some(
                "give the signed-in principal the role `Key Vault Secrets User` on the vault; in a vault with access \
                 policies, the permission `Get` for secrets",
            ),
            Self::Disabled => Some("enable it in the portal (Key Vault > Secrets), or name another version"),
            Self::NotFound => Some("check the secret's name and version in the portal (Key Vault > Secrets)"),
            Self::NoVault { .. } => Some("check the vault's name, and the workspace's `cloud`"),
        }
    }
}

impl fmt::Display for VaultFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(failure) => failure.fmt(f),
            Self::Forbidden { message, .. } => write!(f, "the vault does not allow it: {message}"),
            Self::Disabled => f.write_str("it is disabled"),
            Self::NotFound => f.write_str("the vault has no such secret"),
            Self::NoVault { host } => write!(f, "there is no vault at {host}"),
            Self::Garbled { host, status } => {
                write!(f, "{host} gave an answer that is not a vault's ({status})")
            }
        }
    }
}

impl std::error::Error for VaultFailure {}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, StatusCode};

    use super::{Answer, Cloud, Endpoint, VaultFailure, read};

    #[test]
    fn a_vault_stays_inside_its_cloud() {
        let check = |name: &str, cloud, want: Option<&str>| {
            let got = Endpoint::of_vault(name, cloud).ok().map(|endpoint| endpoint.host().to_owned());
            assert_eq!(got.as_deref(), want, "{name}");
            assert_eq!(want.and_then(Cloud::of_vault), want.map(|_| cloud));
        };
        check("contoso-kv", Cloud::Public, Some("contoso-kv.vault.azure.net"));
        check("contoso-kv", Cloud::China, Some("contoso-kv.vault.azure.cn"));
        check("contoso-kv", Cloud::UsGovernment, Some("contoso-kv.vault.usgovcloudapi.net"));
        check("evil.example/", Cloud::Public, None);
        assert_eq!(Cloud::of_vault("evil.example"), None);
        assert_eq!(Cloud::of_vault("evilvault.azure.net"), None);
    }

    #[test]
    fn says_why_there_is_no_secret_and_nothing_of_a_good_answer() {
        let check = |status: u16, body: &str, want: &str, may_help: bool| {
            let status = StatusCode::from_u16(status).expect("it is one");
            let answer = Answer::new(status, HeaderMap::new(), Ok(body.as_bytes().to_vec()));
            let failure = read(&answer, "kv").expect_err(body);
            assert!(failure.to_string().starts_with(want), "{failure}");
            assert_eq!(failure.is_transient(), may_help, "{failure}");
            assert!(failure.hint().is_some(), "{failure}");
            assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure:?}");
        };
        let error = |code: &str, text: &str, inner: &str| {
            format!(
                "{{\"error\":{{\"code\":\"{code}\",\"message\":\"{text}\",\"innererror\":{{\"code\":\"{inner}\"}}}}}}"
            )
        };
        check(
            404,
            &error("SecretNotFound", "A secret with (name/id) x was not found", ""),
            "the vault has no such",
            false,
        );
        let rbac = error(
            "Forbidden",
            "Caller is not authorized to perform action on resource.\\r\\nIf role",
            "ForbiddenByRbac",
        );
        check(
            403,
            &rbac,
            "the vault does not allow it: Caller is not authorized to perform action on resource.",
            false,
        );
        check(
            403,
            &error("Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"),
            "it is disabled",
            false,
        );
        check(
            403,
            &error("Forbidden", "Client address is not authorized", "ForbiddenByFirewall"),
            "the vault does not allow",
            false,
        );
        check(
            401,
            &error("Unauthorized", "AKV10022: Invalid audience.", ""),
            "AKV10022: Invalid audience. (Unauthorized, 401)",
            false,
        );
        check(200, "{\"value\":\"canary", "kv gave an answer that is not a vault's (200 OK)", true);
        check(200, "{\"value\":{\"x\":\"canary\"}}", "kv gave an answer", true);
        let garbled = VaultFailure::Garbled { host: "kv".to_owned(), status: StatusCode::OK };
        assert!(!garbled.is_sign_in_or_permission());
    }
}
