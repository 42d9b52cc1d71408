//! Why a secret cannot be read. Never holds any of it.

use std::fmt;
use std::path::PathBuf;

use crate::plan::SecretRef;
use crate::synapse::{EndpointError, VaultFailure};
use crate::time::Delay;

/// Why a secret cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFailure {
    /// Where it was looked for.
    pub reference: SecretRef,
    pub(super) why: Why,
}

/// What went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The environment has no such variable.
    Unset,
    /// The variable, file or vault holds an empty text.
    Empty,
    /// The file cannot be read.
    Unreadable { path: PathBuf, reason: String },
    /// The vault's address cannot be used.
    Address(EndpointError),
    /// The vault did not give it.
    Vault(VaultFailure),
    /// The parameters that the journal holds have no text where the secret belongs: our bug, or a damaged journal.
    NoPlace,
}

impl SecretFailure {
    /// Says whether reading it again later may help.
    pub const fn is_transient(&self) -> bool {
        matches!(&self.why, Why::Vault(failure) if failure.is_transient())
    }

    /// Returns how long the vault asked us to wait.
    pub const fn after(&self) -> Option<Delay> {
        match &self.why {
            Why::Vault(failure) => failure.after(),
            _ => None,
        }
    }

    /// Says whether who we are, or what we may do, is the problem (exit code 10).
    pub fn is_sign_in_or_permission(&self) -> bool {
        matches!(&self.why, Why::Vault(failure) if failure.is_sign_in_or_permission())
    }

    /// Returns what a person may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.why {
            Why::Unset => {
                Some("set the variable for this process: `export NAME=...`, or the secrets of your CI")
            }
            Why::Empty => Some(
                "an empty secret is most likely a mistake; a parameter that may be empty needs no secret",
            ),
            Why::Unreadable { .. } => {
                Some("a relative path begins in the plan's folder; the file must be readable by this user")
            }
            Why::Vault(failure) => failure.hint(),
            Why::Address(_) | Why::NoPlace => None,
        }
    }
}

impl fmt::Display for SecretFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret `{}` cannot be read: ", self.reference)?;
        match &self.why {
            Why::Unset => f.write_str("the variable is not set"),
            Why::Empty => f.write_str("it is empty"),
            Why::Unreadable { path, reason } => write!(f, "`{}`: {reason}", path.display()),
            Why::Address(error) => error.fmt(f),
            Why::Vault(failure) => failure.fmt(f),
            Why::NoPlace => f.write_str("the step's parameters have no place for it"),
        }
    }
}

impl std::error::Error for SecretFailure {}
