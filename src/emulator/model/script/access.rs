//! Who may sign in and what the caller may do, as a script says it.

use serde::Deserialize;

use super::Length;

/// What the caller may do in the workspace.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Names of Synapse roles the caller holds for the whole workspace.
    pub roles: Vec<String>,
    /// Actions refused all the same; `Microsoft.Synapse/workspaces/` in front may be left out.
    pub deny: Vec<String>,
}

/// Who may sign in, and for how long.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// How long a token is good for.
    pub token_lifetime: Option<Length>,
    /// Client secrets that were good once: they are refused as expired, not as wrong.
    pub expired_secrets: Vec<String>,
    /// Outside issuers and subjects whose tokens are taken; empty takes any.
    pub federated: Vec<Federated>,
    /// SHA-256 thumbprints (base64url) of certificates whose assertions are taken; empty takes any.
    pub certificates: Vec<String>,
    /// Refuses everything at the managed identity endpoints.
    pub no_managed_identity: bool,
}

/// One outside issuer and subject.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federated {
    /// The `iss` of the outside token.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
}

/// The roles the service lists (protocol 8.2).
const ROLES: [&str; 11] = [
    "Synapse Administrator",
    "Synapse Contributor",
    "Synapse Artifact Publisher",
    "Synapse Artifact User",
    "Synapse Compute Operator",
    "Synapse Credential User",
    "Synapse Monitoring Operator",
    "Synapse Linked Data Manager",
    "Synapse User",
    "Apache Spark Administrator",
    "Synapse SQL Administrator",
];

impl Default for Access {
    fn default() -> Self {
        Self { roles: vec!["Synapse Administrator".to_owned()], deny: Vec::new() }
    }
}

impl Access {
    /// Finds roles the service does not have. Returns what is wrong in words.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
            None => Ok(()),
            Some(role) => Err(format!("`{role}` is no Synapse role; the roles are {}", ROLES.join(", "))),
        }
    }
}
