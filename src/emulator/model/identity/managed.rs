//! Managed identities: the endpoint of virtual machines (IMDS) and that of App Service.

use serde_json::json;

use super::{CLIENT_ID, Grant, OBJECT_ID, WORKSPACE_AUDIENCES, lifetime};
use crate::emulator::model::message::{Answer, Request};
use crate::emulator::model::script::Identity;
use crate::time::{Delay, Timestamp};

/// What App Service puts into `IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "synflow-emulator-identity";

/// Answers `/metadata/identity/oauth2/token` (IMDS) and `/msi/token` (App Service).
pub(crate) fn managed_identity(
    request: &Request,
    identity: &Identity,
    early: Option<Delay>,
    now: Timestamp,
) -> Answer {
    let is_imds = request.path.to_ascii_lowercase().starts_with("/metadata");
    let refused = |status: u16, error: &str, text: &str| {
        if is_imds {
            Answer::json(status, &json!({ "error": error, "error_description": text }))
        } else {
            Answer::json(status, &json!({ "statusCode": status, "message": text }))
        }
    };
    if is_imds && request.header("metadata").is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
        return refused(400, "bad_request_102", "Required metadata header not specified");
    }
    if !is_imds && request.header("x-identity-header") != Some(IDENTITY_HEADER) {
        return refused(401, "unauthorized", "The X-IDENTITY-HEADER header is missing or wrong.");
    }
    let versions: &[&str] = if is_imds { &["2018-02-01", "2019-08-01"] } else { &["2019-08-01"] };
    if request.query_member("api-version").is_none_or(|version| !versions.contains(&version.as_str())) {
        return refused(400, "bad_request", "The api-version query parameter is missing or not supported.");
    }
    let Some(resource) = request.query_member("resource").filter(|text| !text.is_empty()) else {
        return refused(400, "invalid_request", "Required query variable 'resource' is missing");
    };
    let wanted = ["client_id", "object_id", "msi_res_id", "mi_res_id"];
    let stranger = wanted.iter().filter_map(|name| request.query_member(name)).any(|id| {
        ![CLIENT_ID, OBJECT_ID].iter().any(|known| known.eq_ignore_ascii_case(&id)) && !id.starts_with('/')
    });
    if identity.no_managed_identity || stranger {
        return refused(400, "invalid_request", "Identity not found");
    }
    if !resource.starts_with("https://") {
        let text =
            format!("AADSTS500011: The resource principal named {resource} was not found in the tenant.");
        return refused(400, "invalid_resource", &text);
    }

    let promised = lifetime(identity);
    let audience = resource.trim_end_matches('/');
    let audience = if WORKSPACE_AUDIENCES.contains(&audience) { audience } else { resource.as_str() };
    let grant = Grant { audience, now, expires_at: now + early.unwrap_or(promised) };
    let expires_on = ((now + promised).epoch_ms() / 1000).to_string();
    let body = if is_imds {
        json!({
            "access_token": grant.seal(),
            "client_id": CLIENT_ID,
            "expires_in": (promised.as_ms() / 1000).to_string(),
            "expires_on": expires_on,
            "ext_expires_in": (promised.as_ms() / 1000).to_string(),
            "not_before": (now.epoch_ms() / 1000).to_string(),
            "refresh_token": "",
            "resource": resource,
            "token_type": "Bearer",
        })
    } else {
        json!({
            "access_token": grant.seal(),
            "client_id": CLIENT_ID.to_ascii_uppercase(),
            "expires_on": expires_on,
            "resource": resource,
            "token_type": "Bearer",
        })
    };
    Answer::json(200, &body)
}
