//! Proving who we are with another issuer's token: Kubernetes, GitHub Actions, Azure Pipelines
//! (protocol 1.5).

use std::path::PathBuf;

use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::entra;
use super::failure::SignInFailure;
use crate::synapse::http::Http;

/// Whom the other issuer's token is for.
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// Where the other issuer's token comes from.
#[derive(Clone, Debug)]
pub enum AssertionSource {
    /// A file that the platform renews; it is read each time.
    File(PathBuf),
    /// The job's own issuer in GitHub Actions.
    GitHub {
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
        url: Url,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
        token: SecretString,
    },
    /// The job's own issuer in Azure Pipelines.
    AzurePipelines {
        /// `SYSTEM_OIDCREQUESTURI`.
        url: Url,
        /// The id of the service connection.
        service_connection: String,
        /// `SYSTEM_ACCESSTOKEN`.
        token: SecretString,
    },
}

impl AssertionSource {
    /// Fetches a token to show.
    pub(super) async fn fetch(&self, http: &Http) -> Result<SecretString, SignInFailure> {
        match self {
            Self::File(path) => {
                let unusable = |reason: String| SignInFailure::Unusable { reason };
                let text = std::fs::read_to_string(path).map_err(|error| {
                    unusable(format!("cannot read the token file `{}`: {error}", path.display()))
                })?;
                match text.trim() {
                    "" => Err(unusable(format!("the token file `{}` is empty", path.display()))),
                    token => Ok(token.to_owned().into()),
                }
            }
            Self::GitHub { url, token } => {
                let mut url = url.clone();
                url.query_pairs_mut().append_pair("audience", EXCHANGE_AUDIENCE);
                let request = http.request(Method::GET, url.clone()).bearer_auth(token.expose_secret());
                ask(http, request, &url, "value").await
            }
            Self::AzurePipelines { url, service_connection, token } => {
                let mut url = url.clone();
                url.query_pairs_mut()
                    .append_pair("api-version", "7.1")
                    .append_pair("serviceConnectionId", service_connection);
                let request = http
                    .request(Method::POST, url.clone())
                    .bearer_auth(token.expose_secret())
                    .header("Content-Type", "application/json")
                    // Else a refusal is a redirect to a page for people.
                    .header("X-TFS-FedAuthRedirect", "Suppress");
                ask(http, request, &url, "oidcToken").await
            }
        }
    }
}

async fn ask(
    http: &Http,
    request: reqwest::RequestBuilder,
    url: &Url,
    member: &str,
) -> Result<SecretString, SignInFailure> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let answer = match http.send(request).await {
        Ok(answer) => answer,
        Err(reason) => return Err(SignInFailure::Unreachable { host, reason }),
    };
    let status = answer.status;
    if !status.is_success() {
        return entra::refused(&answer, host, &[]);
    }
    let body = answer.json::<Value>().unwrap_or_default();
    let token = body.get(member).and_then(Value::as_str).filter(|token| !token.is_empty());
    token.map(|token| token.to_owned().into()).ok_or(SignInFailure::Garbled { host, status })
}
