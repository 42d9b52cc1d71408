//! The token endpoints, v1 and v2: client secret, certificate assertion, assertion of another issuer.
//!
//! The texts are those of `recordings/entra-token-errors.json` in the tests' `wire` folder.

use serde_json::{Value, json};

use super::{
    CLIENT_ID, CLIENT_SECRET, Grant, TENANT_ID, VAULT_AUDIENCES, WORKSPACE_AUDIENCES, form, lifetime,
    unsealed_part,
};
use crate::emulator::model::generator::digest;
use crate::emulator::model::message::{Answer, Request};
use crate::emulator::model::script::Identity;
use crate::time::{Delay, Timestamp};

/// Audiences besides the workspaces' own, so that a token for the wrong one can be had and refused.
const OTHER_AUDIENCES: [&str; 5] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://graph.microsoft.com",
    "https://storage.azure.com",
    "https://database.windows.net",
];
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why there is no token.
struct Refusal {
    status: u16,
    error: &'static str,
    code: u32,
    text: String,
}

/// Answers a sign-in. `early` makes the token end after that time, whatever it promises.
pub(crate) fn token(
    request: &Request,
    tenant: &str,
    identity: &Identity,
    early: Option<Delay>,
    now: Timestamp,
) -> Answer {
    let form = form(request);
    let member = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let is_v2 = request.path.to_ascii_lowercase().ends_with("/v2.0/token");

    let granted = check_tenant(tenant, is_v2)
        .and_then(|()| check_grant(&member))
        .and_then(|()| audience(&member, is_v2))
        .and_then(|audience| check_client(&member, request, identity, now).map(|()| audience));
    let audience = match granted {
        Ok(audience) => audience,
        Err(refusal) => return refusal.answer(request, now),
    };

    let promised = lifetime(identity);
    let grant = Grant { audience: &audience, now, expires_at: now + early.unwrap_or(promised) };
    let seconds = promised.as_ms() / 1000;
    let body = if is_v2 {
        json!({
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": grant.seal(),
        })
    } else {
        // Version 1 writes its numbers as text.
        json!({
            "token_type": "Bearer",
            "expires_in": seconds.to_string(),
            "ext_expires_in": seconds.to_string(),
            "expires_on": ((now + promised).epoch_ms() / 1000).to_string(),
            "not_before": (now.epoch_ms() / 1000).to_string(),
            "resource": member("resource").unwrap_or(&audience),
            "access_token": grant.seal(),
        })
    };
    Answer::json(200, &body)
        .with_header("cache-control", "no-store, no-cache")
        .with_header("pragma", "no-cache")
}

fn check_tenant(tenant: &str, is_v2: bool) -> Result<(), Refusal> {
    if tenant.eq_ignore_ascii_case(TENANT_ID) {
        return Ok(());
    }
    Err(Refusal {
        status: 400,
        error: if is_v2 { "invalid_tenant" } else { "invalid_request" },
        code: 90_002,
        text: format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into \
             the correct cloud. Check with your subscription administrator, this may happen if there are no \
             active subscriptions for the tenant."
        ),
    })
}

fn check_grant<'a>(member: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Refusal> {
    match member("grant_type") {
        Some("client_credentials") => Ok(()),
        None | Some("") => Err(Refusal {
            status: 400,
            error: "invalid_request",
            code: 900_144,
            text: "The request body must contain the following parameter: 'grant_type'.".to_owned(),
        }),
        Some(other) => Err(Refusal {
            status: 400,
            error: "unsupported_grant_type",
            code: 70_003,
            text: format!("The app requested an unsupported grant type '{other}'."),
        }),
    }
}

/// Finds the audience: `scope` of version 2, `resource` of version 1.
fn audience<'a>(member: &impl Fn(&str) -> Option<&'a str>, is_v2: bool) -> Result<String, Refusal> {
    let name = if is_v2 { "scope" } else { "resource" };
    let Some(asked) = member(name).filter(|text| !text.is_empty()) else {
        return Err(Refusal {
            status: 400,
            error: "invalid_request",
            code: 900_144,
            text: format!("The request body must contain the following parameter: '{name}'."),
        });
    };
    let resource = if is_v2 {
        let Some(resource) = asked.strip_suffix("/.default") else {
            return Err(Refusal {
                status: 400,
                error: "invalid_scope",
                code: 1_002_012,
                text: format!(
                    "The provided value for scope {asked} is not valid. Client credential flows must have a scope \
                     value with /.default suffixed to the resource identifier (application ID URI)."
                ),
            });
        };
        resource
    } else {
        asked
    };
    let plain = resource.trim_end_matches('/');
    let known = [&WORKSPACE_AUDIENCES[..], &VAULT_AUDIENCES, &OTHER_AUDIENCES].concat();
    if known.contains(&plain) {
        return Ok(resource.to_owned());
    }
    Err(Refusal {
        status: 400,
        error: "invalid_resource",
        code: 500_011,
        text: format!(
            "The resource principal named {resource} was not found in the tenant named {TENANT_ID}. This can \
             happen if the application has not been installed by the administrator of the tenant or consented to \
             by any user in the tenant. You might have sent your authentication request to the wrong tenant."
        ),
    })
}

fn check_client<'a>(
    member: &impl Fn(&str) -> Option<&'a str>,
    request: &Request,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), Refusal> {
    let client = member("client_id").unwrap_or_default();
    if !client.eq_ignore_ascii_case(CLIENT_ID) {
        return Err(Refusal {
            status: 400,
            error: "unauthorized_client",
            code: 700_016,
            text: format!(
                "Application with identifier '{client}' was not found in the directory 'synflow emulator'. This \
                 can happen if the application has not been installed by the administrator of the tenant or \
                 consented to by any user in the tenant. You may have sent your authentication request to the \
                 wrong tenant."
            ),
        });
    }
    if let Some(secret) = member("client_secret") {
        return match secret {
            _ if identity.expired_secrets.iter().any(|expired| expired == secret) => {
                Err(expired_secret(client))
            }
            CLIENT_SECRET => Ok(()),
            _ => Err(wrong_secret(client)),
        };
    }
    if member("client_assertion_type") == Some(JWT_BEARER)
        && let Some(assertion) = member("client_assertion")
    {
        return check_assertion(assertion, request, identity, now);
    }
    Err(Refusal {
        status: 401,
        error: "invalid_client",
        code: 7_000_218,
        text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            .to_owned(),
    })
}

fn wrong_secret(client: &str) -> Refusal {
    Refusal {
        status: 401,
        error: "invalid_client",
        code: 7_000_215,
        text: format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
             value, not the client secret ID, for a secret added to app '{client}'."
        ),
    }
}

/// The text as users of the service quote it, such as github.com/dotnet/sign/issues/849.
fn expired_secret(client: &str) -> Refusal {
    Refusal {
        status: 401,
        error: "invalid_client",
        code: 7_000_222,
        text: format!(
            "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new \
             keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for \
             added security: https://aka.ms/certCreds."
        ),
    }
}

/// Checks a signed statement. One that speaks for itself comes with a certificate, any other from an outside
/// issuer. The signature is not checked: the emulator knows nobody's public key.
fn check_assertion(
    assertion: &str,
    request: &Request,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), Refusal> {
    let refused = |code: u32, text: String| Refusal { status: 401, error: "invalid_client", code, text };
    let parts: Vec<&str> = assertion.split('.').collect();
    let read = |at: usize| parts.get(at).and_then(|part| unsealed_part(part));
    let (Some(header), Some(claims), 3) = (read(0), read(1), parts.len()) else {
        return Err(refused(50_027, "JWT token is invalid or malformed.".to_owned()));
    };
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    // MSAL for Python writes a fraction.
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    if expires * 1000.0 <= now.epoch_ms() as f64 {
        return Err(refused(
            700_024,
            format!(
                "Client assertion is not within its valid time range. Expiry time of assertion {expires}."
            ),
        ));
    }
    if claim("iss") == CLIENT_ID && claim("sub") == CLIENT_ID {
        let audience = claim("aud").trim_end_matches('/');
        let endpoint = format!("{}{}", request.origin, request.path);
        let known = audience.eq_ignore_ascii_case(&endpoint)
            || audience.eq_ignore_ascii_case(&format!("{}/{TENANT_ID}/v2.0", request.origin))
            || audience.eq_ignore_ascii_case(&format!("{}/{TENANT_ID}", request.origin));
        if !known {
            return Err(refused(
                700_023,
                format!("Client assertion audience claim does not match Realm issuer. It was '{audience}'."),
            ));
        }
        let thumbprint = header.get("x5t#S256").or_else(|| header.get("x5t")).and_then(Value::as_str);
        let taken = thumbprint.is_some_and(|text| {
            identity.certificates.is_empty() || identity.certificates.iter().any(|known| known == text)
        });
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if taken && ["PS256", "RS256"].contains(&algorithm) {
            return Ok(());
        }
        return Err(refused(
            700_027,
            format!(
                "Client assertion failed signature validation. The key was not found. Thumbprint of key used by \
                 client: '{}'.",
                thumbprint.unwrap_or_default()
            ),
        ));
    }
    let (issuer, subject) = (claim("iss"), claim("sub"));
    let fits = identity.federated.is_empty()
        || identity.federated.iter().any(|known| known.issuer == issuer && known.subject == subject);
    let audience_fits = audience_of(&claims).iter().any(|audience| audience == "api://AzureADTokenExchange");
    if fits && audience_fits {
        return Ok(());
    }
    Err(Refusal {
        status: 401,
        error: "unauthorized_client",
        code: 70_021,
        text: format!(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. \
             Assertion Subject: '{subject}'. Assertion Audience: '{}'.",
            audience_of(&claims).join(", ")
        ),
    })
}

/// Returns `aud`, which may be one text or a list.
fn audience_of(claims: &serde_json::Map<String, Value>) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

impl Refusal {
    fn answer(&self, request: &Request, now: Timestamp) -> Answer {
        let stamp = now.to_jiff().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let trace = trace_id(&[self.text.as_bytes(), stamp.as_bytes()]);
        let correlation = request
            .header("client-request-id")
            .map_or_else(|| trace_id(&[stamp.as_bytes(), self.text.as_bytes()]), str::to_owned);
        let (code, text) = (self.code, &self.text);
        let description = format!(
            "AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}"
        );
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{}/error?code={code}", request.origin),
        });
        Answer::json(self.status, &body)
    }
}

fn trace_id(parts: &[&[u8]]) -> String {
    let high = digest(&parts.concat());
    let low = digest(&high.to_be_bytes());
    let bits = (u128::from(high) << 64) | u128::from(low);
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
}
