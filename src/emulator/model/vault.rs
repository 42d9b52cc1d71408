//! The pretend Key Vaults beside the workspace: GET of a secret, as the vendor's service answers it.
//!
//! Every vault that the script names is below `/keyvault/NAME`; where there is only one, it is at the root as well, for
//! clients that take a vault's address alone. Texts are those that users of the service have quoted.

use serde_json::{Map, Value, json};

use super::Workspace;
use super::generator::digest;
use super::identity::{CLIENT_ID, OBJECT_ID, TENANT_ID, VAULT_AUDIENCES, claims_of};
use super::message::{Answer, Request};
use crate::emulator::model::script::{SecretScript, Vaults};
use crate::time::Timestamp;

/// The versions of the vaults' interface.
const VERSIONS: [&str; 7] = ["7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6"];

/// What a call to a vault names.
pub(super) struct Asked<'a> {
    /// The vault; empty where the call does not say.
    pub(super) vault: &'a str,
    /// The secret's name, and maybe its version behind a slash.
    pub(super) secret: &'a str,
}

/// Answers GET of a secret.
pub(super) fn secret(
    request: &Request,
    asked: &Asked<'_>,
    vaults: &Vaults,
    workspace: &Workspace,
    has_sign_in: bool,
    now: Timestamp,
) -> Answer {
    if has_sign_in && let Err(answer) = check_token(request, now) {
        return *answer;
    }
    if request.query_member("api-version").is_none_or(|version| !VERSIONS.contains(&version.as_str())) {
        let message = "The specified version is not recognized. Consider using the latest supported version.";
        return Answer::wrapped_error(400, "BadParameter", message);
    }
    let vault = match (asked.vault, vaults.0.len()) {
        ("", 1) => vaults.0.iter().next(),
        (name, _) => vaults.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)),
    };
    let (name, version) = asked.secret.split_once('/').unwrap_or((asked.secret, ""));
    let found = vault.and_then(|(vault, secrets)| {
        let mut secrets = secrets.iter();
        let (name, secret) = secrets.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let newest = version_of(vault, name, secret);
        (version.is_empty() || version == newest).then_some((vault.as_str(), name.as_str(), secret, newest))
    });
    let Some((vault, name, secret, newest)) = found else { return not_found(asked.secret) };
    if secret.forbidden {
        return forbidden(vault, name, workspace);
    }
    if !secret.enabled {
        let message = "Operation get is not allowed on a disabled secret.";
        return refusal(403, "Forbidden", message, "SecretDisabled");
    }
    let made_at = 1_700_000_000;
    Answer::json(
        200,
        &json!({
            "value": secret.value,
            "id": format!("https://{vault}.vault.azure.net/secrets/{name}/{newest}"),
            "attributes": {
                "enabled": true,
                "created": made_at,
                "updated": made_at,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
            "tags": {},
        }),
    )
}

/// Returns the version that a secret has: the script's, or one made of all it says.
fn version_of(vault: &str, name: &str, secret: &SecretScript) -> String {
    secret.version.clone().unwrap_or_else(|| {
        let high = digest(format!("{vault}/{name}/{}", secret.value).as_bytes());
        format!("{high:016x}{:016x}", digest(&high.to_be_bytes()))
    })
}

/// Checks the bearer token. The error is the answer to give: a challenge that says where to sign in, and for what.
fn check_token(request: &Request, now: Timestamp) -> Result<(), Box<Answer>> {
    let refused = |message: &str| {
        let challenge = format!(
            "Bearer authorization=\"{}/{TENANT_ID}\", resource=\"{}\"",
            request.origin, VAULT_AUDIENCES[0]
        );
        let answer = Answer::wrapped_error(401, "Unauthorized", message);
        Err(Box::new(answer.with_header("www-authenticate", &challenge)))
    };
    let bearer = request.header("authorization").and_then(|header| header.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = bearer else {
        return refused("AKV10000: Request is missing a Bearer or PoP token.");
    };
    let Some(claims) = claims_of(token.trim()) else {
        return refused("AKV10001: Failed to decode the token. Error validating token: 'S2S10000'.");
    };
    let claim = |claims: &Map<String, Value>, name: &str| claims.get(name).cloned().unwrap_or_default();
    let audience = claim(&claims, "aud").as_str().unwrap_or_default().to_owned();
    if !VAULT_AUDIENCES.contains(&audience.trim_end_matches('/')) {
        let expected = VAULT_AUDIENCES[0];
        return refused(&format!("AKV10022: Invalid audience. Expected {expected}, found: {audience}."));
    }
    let expires_ms = claim(&claims, "exp").as_i64().unwrap_or_default().saturating_mul(1000);
    if now.epoch_ms() >= expires_ms {
        return refused("AKV10001: Token is expired.");
    }
    Ok(())
}

fn refusal(status: u16, code: &str, message: &str, inner: &str) -> Answer {
    let error = json!({ "code": code, "message": message, "innererror": { "code": inner } });
    Answer::json(status, &json!({ "error": error }))
}

fn not_found(secret: &str) -> Answer {
    let message = format!(
        "A secret with (name/id) {secret} was not found in this key vault. If you recently deleted this secret you may \
         be able to recover it using the correct recovery command. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    Answer::wrapped_error(404, "SecretNotFound", &message)
}

fn forbidden(vault: &str, name: &str, workspace: &Workspace) -> Answer {
    let message = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: \
         appid={CLIENT_ID};oid={OBJECT_ID};iss=https://sts.windows.net/{TENANT_ID}/\r\nAction: \
         'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: \
         '/subscriptions/{}/resourcegroups/{}/providers/microsoft.keyvault/vaults/{vault}/secrets/{name}'\r\n\
         Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n\
         Vault: {vault};location=westeurope\r\n",
        workspace.subscription, workspace.group
    );
    refusal(403, "Forbidden", &message, "ForbiddenByRbac")
}
