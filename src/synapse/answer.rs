//! Why a call has no result, and what may be done about it.

use std::fmt;

use http::StatusCode;

use super::auth::SignInFailure;
use super::http::{Answer, NoAnswer, NoAnswerKind};
use super::wire;
use crate::time::Delay;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// We have no token to send.
    SignIn(SignInFailure),
    /// The service did not answer.
    Unreachable {
        /// The workspace's host.
        host: String,
        /// Why.
        reason: NoAnswer,
    },
    /// It has had enough of us for a while (429).
    Throttled {
        /// The workspace's host.
        host: String,
        /// How long it asks us to wait.
        after: Option<Delay>,
    },
    /// It is out of order (408 and 5xx).
    Unavailable {
        /// The workspace's host.
        host: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it says.
        message: String,
        /// How long it asks us to wait.
        after: Option<Delay>,
    },
    /// It said no; asking again cannot help.
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The service's code; empty where it gave none.
        code: String,
        /// What it says.
        message: String,
        /// The id that support asks for.
        correlation: Option<String>,
    },
    /// It knows no such run.
    NoSuchRun {
        /// What it says.
        message: String,
    },
    /// The answer is none of the service's: a gateway's page, a redirect, broken JSON.
    Garbled {
        /// The workspace's host.
        host: String,
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of what came.
        text: String,
    },
    /// A list has more pages than we are ready to read; a narrower window has fewer.
    TooManyPages {
        /// How many were read.
        pages_max: usize,
    },
    /// A name cannot stand in a path, so that nothing was sent.
    BadName {
        /// The name.
        name: String,
    },
}

impl CallFailure {
    /// Says whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::SignIn(failure) => !failure.is_final(),
            Self::Unreachable { .. }
            | Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::Garbled { .. } => true,
            Self::Refused { .. }
            | Self::NoSuchRun { .. }
            | Self::TooManyPages { .. }
            | Self::BadName { .. } => false,
        }
    }

    /// Returns how long the service asked us to wait.
    pub const fn after(&self) -> Option<Delay> {
        match self {
            Self::SignIn(failure) => failure.after(),
            Self::Throttled { after, .. } | Self::Unavailable { after, .. } => *after,
            _ => None,
        }
    }

    /// Says whether we are the problem: who we are, or what we may do (exit code 10).
    pub fn is_sign_in_or_permission(&self) -> bool {
        match self {
            Self::SignIn(failure) => failure.is_final(),
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            _ => false,
        }
    }

    /// Says whether the service, or what stands before it, is the problem (exit code 11).
    pub fn is_unreachable(&self) -> bool {
        self.is_transient()
    }

    /// Returns what a person may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::SignIn(failure) => failure.hint(),
            Self::Unreachable { reason, .. } => Some(match reason.kind {
                NoAnswerKind::NameNotFound => {
                    "check the workspace's name or endpoint in the plan, and the network"
                }
                NoAnswerKind::ConnectionRefused => {
                    "check the workspace's endpoint in the plan; is something listening there?"
                }
                NoAnswerKind::Tls => {
                    "if a proxy of your company inspects traffic, name its certificate with --ca-file"
                }
                NoAnswerKind::TimedOut | NoAnswerKind::Cut => "check the network and the proxy",
            }),
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                Some("check the workspace's `cloud` and tenant: its service does not take this token")
            }
            Self::Refused { status: StatusCode::FORBIDDEN, .. } => Some(
                "give the signed-in principal a Synapse role with this permission (Manage > Access control)",
            ),
            Self::Refused { status: StatusCode::NOT_FOUND, code, .. } if code.is_empty() => Some(
                "this does not answer like a Synapse workspace: check the endpoint in the plan, and the proxy",
            ),
            Self::Garbled { .. } => Some(
                "this does not answer like a Synapse workspace: check the endpoint in the plan, and the proxy",
            ),
            _ => None,
        }
    }

    /// Returns the failure for a line that will be said again until it is over: of a refused sign-in what is wrong and what
    /// to do, for a process that is under way keeps the secret that it was given.
    pub fn briefly(&self) -> String {
        match self {
            Self::SignIn(failure) => match (failure.headline(), failure.hint()) {
                (Some(headline), Some(hint)) => {
                    format!("cannot sign in, {headline}: {hint}; then leave with Ctrl-C and `synflow resume`")
                }
                _ => self.to_string(),
            },
            _ => self.to_string(),
        }
    }

    /// Reads an answer that is no success.
    pub(super) fn from_answer(answer: &Answer, host: &str) -> Self {
        let status = answer.status;
        let host = host.to_owned();
        let error = answer.body.as_ref().ok().and_then(|body| wire::service_error(body));
        let code = error.as_ref().map(|error| error.code.clone()).unwrap_or_default();
        let message = error.map_or_else(|| answer.describe(), |error| error.message);
        let after = answer.retry_after();
        if status == StatusCode::TOO_MANY_REQUESTS {
            Self::Throttled { host, after }
        } else if status == StatusCode::REQUEST_TIMEOUT || status.is_server_error() {
            Self::Unavailable { host, status, message, after }
        } else if status.is_client_error() {
            Self::Refused { status, code, message, correlation: answer.correlation().map(str::to_owned) }
        } else {
            Self::Garbled { host, status, text: answer.describe() }
        }
    }

    /// Returns the service's text if it says that a run is not there: a 404 that is the service's own,
    /// or a 400 whose code ends in `NotFound` (protocol 6.2). A gateway's page proves nothing.
    pub(super) fn no_such_run(answer: &Answer) -> Option<String> {
        let body = answer.body.as_ref().ok()?;
        let error = wire::service_error(body);
        match answer.status {
            StatusCode::NOT_FOUND if body.is_empty() => Some(answer.describe()),
            StatusCode::NOT_FOUND => error.map(|error| error.message),
            StatusCode::BAD_REQUEST => {
                error.filter(|error| error.code.ends_with("NotFound")).map(|error| error.message)
            }
            _ => None,
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn(failure) => failure.fmt(f),
            Self::Unreachable { host, reason } => f.write_str(&reason.at(host)),
            Self::Throttled { host, after: Some(after) } => {
                write!(f, "throttled: {host} asks for a pause of {} (429)", after.short())
            }
            Self::Throttled { host, after: None } => write!(f, "throttled: {host} asks for a pause (429)"),
            Self::Unavailable { host, status, message, .. } => {
                write!(f, "{host} is out of order: {message} ({})", status.as_u16())
            }
            Self::Refused { status, code, message, correlation } => {
                match code.as_str() {
                    "" => write!(f, "the service says no ({status}): {message}")?,
                    code => write!(f, "{message} ({code}, {})", status.as_u16())?,
                }
                correlation.iter().try_for_each(|id| write!(f, " [correlation id {id}]"))
            }
            Self::NoSuchRun { message } => write!(f, "there is no such run: {message}"),
            Self::Garbled { host, status, text } => {
                write!(f, "{host} gave an answer that is not the service's ({status}): {text}")
            }
            Self::TooManyPages { pages_max } => write!(f, "the list has more than {pages_max} pages"),
            Self::BadName { name } => write!(f, "`{name}` cannot be a name in Synapse"),
        }
    }
}

impl std::error::Error for CallFailure {}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::CallFailure;
    use crate::synapse::auth::{AuthMethod, Refusal, SignInFailure};

    #[test]
    fn a_secret_that_expires_under_way_is_said_with_what_to_do() {
        let refusal = Refusal {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client".to_owned(),
            description: "AADSTS7000222: The provided client secret keys are expired.".to_owned(),
            codes: vec![7_000_222],
            correlation: String::new(),
        };
        let refused = SignInFailure::Refused(refusal);
        let tried = vec![(AuthMethod::Environment, refused.clone())];
        for failure in [refused, SignInFailure::NoneWorked { tried }] {
            let told = CallFailure::SignIn(failure).briefly();
            assert!(told.starts_with("cannot sign in, the client secret has expired: make a new"), "{told}");
            assert!(told.ends_with("then leave with Ctrl-C and `synflow resume`"), "{told}");
        }
        let other = CallFailure::BadName { name: "a/b".to_owned() };
        assert_eq!(other.briefly(), other.to_string());
    }
}
