//! Why there is no token, in the issuer's own words where it had any.

use std::fmt;

use http::StatusCode;

use super::AuthMethod;
use crate::synapse::http::{NoAnswer, NoAnswerKind};
use crate::time::Delay;

/// What the token endpoint said when it said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The OAuth word, such as `invalid_client`; empty where there was none.
    pub error: String,
    /// The first line of its text.
    pub description: String,
    /// The vendor's numbers; hints only, for they change (protocol 1.8).
    pub codes: Vec<i64>,
    /// The id that support asks for; may be empty.
    pub correlation: String,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInFailure {
    /// The token endpoint said no; asking again cannot help.
    Refused(Refusal),
    /// What we were given cannot be used for signing in.
    Unusable {
        /// What is wrong with it.
        reason: String,
    },
    /// No way to sign in that was tried has worked.
    NoneWorked {
        /// Each way and what was wrong with it, in the order tried.
        tried: Vec<(AuthMethod, SignInFailure)>,
    },
    /// It is busy or out of order; asking again later may help.
    Busy {
        /// The authority's host.
        host: String,
        /// The HTTP status.
        status: StatusCode,
        /// How long it asks us to wait.
        after: Option<Delay>,
    },
    /// It did not answer.
    Unreachable {
        /// The authority's host.
        host: String,
        /// Why.
        reason: NoAnswer,
    },
    /// It answered with something else than a token.
    Garbled {
        /// The authority's host.
        host: String,
        /// The HTTP status.
        status: StatusCode,
    },
}

impl SignInFailure {
    /// Says whether asking again cannot help.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unusable { .. } | Self::NoneWorked { .. })
    }

    /// Returns how long we were asked to wait.
    pub const fn after(&self) -> Option<Delay> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }

    /// Says what was wrong, for a line that names the way already.
    pub fn reason(&self) -> String {
        match self {
            Self::Unusable { reason } => reason.clone(),
            Self::Busy { host, status, .. } => format!("{host} is busy ({status})"),
            Self::Unreachable { host, reason } => reason.at(host),
            other => other.to_string(),
        }
    }

    /// Returns in half a sentence what was wrong, where the issuer has told us.
    pub fn headline(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.codes.iter().find_map(|code| headline_for(*code)),
            Self::NoneWorked { tried } => tried.iter().find_map(|(_, failure)| failure.headline()),
            _ => None,
        }
    }

    /// Returns what a person may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.codes.iter().find_map(|code| hint_for(*code)),
            Self::Unreachable { reason, .. } if reason.kind == NoAnswerKind::Tls => {
                Some("if a proxy of your company inspects traffic, name its certificate with --ca-file")
            }
            Self::Unreachable { .. } | Self::Garbled { .. } => {
                Some("check the network, the proxy and AZURE_AUTHORITY_HOST")
            }
            // Who was refused has more to gain from a word on that than from the other ways.
            Self::NoneWorked { tried } => tried.iter().find_map(|(_, failure)| failure.hint()).or(Some(
                "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run `az login`; \
                 --auth NAME picks one way",
            )),
            Self::Unusable { .. } | Self::Busy { .. } => None,
        }
    }
}

/// The vendor's numbers change, so they decide nothing but texts.
const fn headline_for(code: i64) -> Option<&'static str> {
    match code {
        7_000_215 => Some("the client secret is wrong"),
        7_000_222 => Some("the client secret has expired"),
        700_016 => Some("the application is not known in this tenant"),
        90_002 => Some("the tenant is not known"),
        700_027 => Some("the certificate is not one of the application's"),
        70_021 => Some("the application does not trust this job"),
        500_011 => Some("the tenant does not know Azure Synapse"),
        _ => None,
    }
}

/// See [`headline_for`].
const fn hint_for(code: i64) -> Option<&'static str> {
    match code {
        7_000_215 => Some(
            "AZURE_CLIENT_SECRET must be the secret's Value, not its Secret ID; if it is lost, make a new secret in the \
             Azure portal, App registrations > Certificates & secrets",
        ),
        7_000_222 => Some(
            "make a new secret in the Azure portal, App registrations > Certificates & secrets, and set \
             AZURE_CLIENT_SECRET to its Value",
        ),
        700_016 => Some("check AZURE_CLIENT_ID, and that AZURE_TENANT_ID is the application's tenant"),
        90_002 => Some("check AZURE_TENANT_ID and the workspace's `cloud`"),
        700_027 => Some("upload the certificate to the application in the Azure portal"),
        70_021 => Some("give the application a federated credential with this issuer and subject"),
        500_011 => Some("check the workspace's `cloud`"),
        _ => None,
    }
}

impl fmt::Display for SignInFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => {
                write!(f, "sign-in refused: {}", refusal.description)?;
                match refusal.error.as_str() {
                    "" => write!(f, " ({})", refusal.status.as_u16())?,
                    error => write!(f, " ({error}, {})", refusal.status.as_u16())?,
                }
                if !refusal.correlation.is_empty() {
                    write!(f, " [correlation id {}]", refusal.correlation)?;
                }
                Ok(())
            }
            Self::NoneWorked { tried } => {
                let tried: Vec<String> =
                    tried.iter().map(|(method, failure)| format!("{method}: {}", failure.reason())).collect();
                write!(f, "no way to sign in works: {}", tried.join("; "))
            }
            Self::Unusable { .. } | Self::Busy { .. } | Self::Unreachable { .. } => {
                write!(f, "cannot sign in: {}", self.reason())
            }
            Self::Garbled { host, status } => {
                write!(f, "{host} answered the sign-in with something that is no token ({status})")
            }
        }
    }
}

impl std::error::Error for SignInFailure {}
