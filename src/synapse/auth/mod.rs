//! Signing in: who we are ([`Credential`]) and the tokens that prove it ([`TokenCache`]).
//!
//! Secrets and tokens live in memory, in types whose `Debug` hides them, and are written nowhere. The
//! token endpoint is asked directly with form posts, so that its own words reach the reader.

mod azure_cli;
mod base64;
mod cache;
mod certificate;
mod chain;
mod claims;
mod entra;
mod failure;
mod federated;
mod managed;

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

pub use self::azure_cli::AzureCli;
pub(super) use self::cache::Token;
pub use self::cache::TokenCache;
pub use self::chain::{AuthMethod, Chain, SignInSettings};
pub use self::claims::Identity;
use self::entra::Issued;
pub use self::failure::{Refusal, SignInFailure};
pub use self::federated::AssertionSource;
pub use self::managed::ManagedIdentity;
use crate::synapse::endpoint::Endpoint;
use crate::synapse::http::Http;
use crate::time::Timestamp;

/// The kind of proof that is itself a token.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who signs in, and how.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An application with a secret.
    ClientSecret {
        /// The directory: a GUID or a domain.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// The secret's value.
        secret: SecretString,
        /// Who issues tokens, such as `https://login.microsoftonline.com`.
        authority: Endpoint,
    },
    /// An application with a certificate.
    ClientCertificate {
        /// The directory: a GUID or a domain.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// A PEM file with the certificate and its RSA key.
        path: PathBuf,
        /// Who issues tokens.
        authority: Endpoint,
    },
    /// An application that trusts another issuer.
    Federated {
        /// The directory: a GUID or a domain.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// Where the other issuer's token comes from.
        source: AssertionSource,
        /// Who issues tokens.
        authority: Endpoint,
    },
    /// The identity of the machine we run on.
    ManagedIdentity(ManagedIdentity),
    /// The login of the Azure command line.
    AzureCli(AzureCli),
}

impl Credential {
    /// Returns which way of signing in this is.
    pub const fn method(&self) -> AuthMethod {
        match self {
            Self::ClientSecret { .. } | Self::ClientCertificate { .. } => AuthMethod::Environment,
            Self::Federated { source, .. } => match source {
                AssertionSource::File(_) => AuthMethod::WorkloadIdentity,
                AssertionSource::GitHub { .. } => AuthMethod::GitHub,
                AssertionSource::AzurePipelines { .. } => AuthMethod::AzurePipelines,
            },
            Self::ManagedIdentity(_) => AuthMethod::ManagedIdentity,
            Self::AzureCli(_) => AuthMethod::AzureCli,
        }
    }

    /// Asks for a token, once.
    async fn request(&self, audience: &str, http: &Http) -> Result<Issued, SignInFailure> {
        match self {
            Self::ClientSecret { tenant, client_id, secret, authority } => {
                let url = entra::token_url(authority, tenant)?;
                let proof = [("client_secret", secret.expose_secret())];
                entra::request(url, client_id, &proof, audience, http).await
            }
            Self::ClientCertificate { tenant, client_id, path, authority } => {
                let url = entra::token_url(authority, tenant)?;
                let assertion = certificate::assertion(path, client_id, url.as_str(), wall_clock())?;
                entra::request(url, client_id, &asserted(&assertion), audience, http).await
            }
            Self::Federated { tenant, client_id, source, authority } => {
                let url = entra::token_url(authority, tenant)?;
                let assertion = source.fetch(http).await?;
                entra::request(url, client_id, &asserted(&assertion), audience, http).await
            }
            Self::ManagedIdentity(identity) => identity.request(audience, http).await,
            Self::AzureCli(cli) => cli.request(audience, wall_clock()).await,
        }
    }
}

fn asserted(assertion: &SecretString) -> [(&'static str, &str); 2] {
    [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.expose_secret())]
}

/// Assertions are dated, and some tokens name the date of their end instead of their life.
#[expect(clippy::disallowed_methods, reason = "dates of other issuers can only be met with the wall clock")]
fn wall_clock() -> Timestamp {
    Timestamp::from_epoch_ms(jiff::Timestamp::now().as_millisecond())
}
