//! Managed identities: a virtual machine's and App Service's (protocol 1.6).
//!
//! Their endpoints belong to the machine we run on and speak plain http, never through a proxy.

use http::StatusCode;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use super::entra::{self, Issued};
use super::failure::SignInFailure;
use crate::synapse::http::Http;
use crate::time::Delay;

/// How long a machine may take to say that it has an identity endpoint at all. Elsewhere the address
/// leads nowhere, and nobody wants to wait for that.
const PROBE_LIMIT: Delay = Delay::from_secs(1);

/// How long the endpoint may take.
const REQUEST_LIMIT: Delay = Delay::from_secs(30);

/// The identity of the machine we run on.
#[derive(Clone, Debug)]
pub enum ManagedIdentity {
    /// A virtual machine's.
    VirtualMachine {
        /// Its token endpoint.
        url: Url,
        /// Which identity, where the machine has several.
        client_id: Option<String>,
        /// Whether to look first if there is such a service.
        is_probed: bool,
    },
    /// App Service's, and of what is built upon it.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        url: Url,
        /// `IDENTITY_HEADER`.
        header: SecretString,
        /// Which identity, where the app has several.
        client_id: Option<String>,
    },
}

impl ManagedIdentity {
    /// Finds out whether there is an endpoint, where that is not sure: any answer will do, and without
    /// the header it will be a refusal.
    pub(super) async fn probe(&self, http: &Http) -> Result<(), SignInFailure> {
        let Self::VirtualMachine { url, is_probed: true, .. } = self else { return Ok(()) };
        let request = http.request_direct(Method::GET, url.clone());
        let missing =
            |_| SignInFailure::Unusable { reason: "this machine has no managed identity".to_owned() };
        http.send_within(PROBE_LIMIT, request).await.map(drop).map_err(missing)
    }

    /// Asks for a token, once.
    pub(super) async fn request(&self, audience: &str, http: &Http) -> Result<Issued, SignInFailure> {
        match self {
            Self::VirtualMachine { url, client_id, .. } => {
                let call = with_query(url, "2018-02-01", audience, client_id.as_ref());
                let request = http.request_direct(Method::GET, call).header("Metadata", "true");
                let sent = http.send_within(REQUEST_LIMIT, request).await;
                // The endpoint is away for a while when it is updated.
                let busy = [StatusCode::NOT_FOUND, StatusCode::GONE];
                entra::issued(sent, url.host_str().unwrap_or_default(), &busy)
            }
            Self::AppService { url, header, client_id } => {
                let request = http
                    .request_direct(Method::GET, with_query(url, "2019-08-01", audience, client_id.as_ref()))
                    .header("X-IDENTITY-HEADER", header.expose_secret());
                let sent = http.send_within(REQUEST_LIMIT, request).await;
                entra::issued(sent, url.host_str().unwrap_or_default(), &[])
            }
        }
    }
}

fn with_query(url: &Url, version: &str, audience: &str, client_id: Option<&String>) -> Url {
    let mut url = url.clone();
    let mut query = url.query_pairs_mut();
    query.append_pair("api-version", version).append_pair("resource", audience);
    if let Some(client_id) = client_id {
        query.append_pair("client_id", client_id);
    }
    drop(query);
    url
}
