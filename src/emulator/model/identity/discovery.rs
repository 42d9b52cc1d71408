//! What sign-in libraries ask before they ask for a token: which hosts belong together, where the endpoints are.

use serde_json::json;

use super::TENANT_ID;
use crate::emulator::model::message::{Answer, Request};

/// Answers instance discovery and the `OpenID` configuration.
pub(crate) fn discover(request: &Request, tenant: &str) -> Answer {
    let origin = &request.origin;
    if request.path.to_ascii_lowercase().ends_with("/discovery/instance") {
        let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
        return Answer::json(
            200,
            &json!({
                "tenant_discovery_endpoint": format!("{origin}/{TENANT_ID}/v2.0/.well-known/openid-configuration"),
                "api-version": "1.1",
                "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
            }),
        );
    }
    if !tenant.eq_ignore_ascii_case(TENANT_ID) && !["common", "organizations"].contains(&tenant) {
        let message = format!(
            "AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are \
             signing into the correct cloud."
        );
        let body =
            json!({ "error": "invalid_tenant", "error_description": message, "error_codes": [90_002] });
        return Answer::json(400, &body);
    }
    Answer::json(
        200,
        &json!({
            "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": format!("{origin}/{TENANT_ID}/v2.0"),
            "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/devicecode"),
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }),
    )
}
