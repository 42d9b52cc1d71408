//! The pretend Entra ID: token endpoints, what sign-in libraries ask first, managed identities, and the check
//! of the tokens it gave out. Tokens hold all they need, so every workspace can check every token.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::message::{Answer, Request, form_members};
use super::stamp::stamp_seconds;
use crate::emulator::model::script;
use crate::time::{Delay, Timestamp};

use self::base64url::{decode, encode};

pub(super) mod base64url;
mod discovery;
mod managed;
mod token;

pub(super) use self::discovery::discover;
pub use self::managed::IDENTITY_HEADER;
pub(super) use self::managed::managed_identity;
pub(super) use self::token::token;

/// The only tenant.
pub const TENANT_ID: &str = "7e57da7a-0000-4000-8000-000000000001";
/// The only application of that tenant.
pub const CLIENT_ID: &str = "7e57da7a-0000-4000-8000-000000000002";
/// Its secret. It opens nothing but emulators.
pub const CLIENT_SECRET: &str = "synflow-emulator-secret";
/// The object id of its service principal, which `oid` claims and permission errors name.
pub const OBJECT_ID: &str = "7e57da7a-0000-4000-8000-000000000003";

/// The audiences of a workspace, in each cloud (protocol 1.2).
const WORKSPACE_AUDIENCES: [&str; 3] = [
    "https://dev.azuresynapse.net",
    "https://dev.azuresynapse.azure.cn",
    "https://dev.azuresynapse.usgovcloudapi.net",
];
/// The audiences of Key Vaults, in each cloud.
pub(super) const VAULT_AUDIENCES: [&str; 3] =
    ["https://vault.azure.net", "https://vault.azure.cn", "https://vault.usgovcloudapi.net"];
/// How long a token is good for when the script says nothing.
const TOKEN_LIFETIME: Delay = Delay::from_secs(3599);

/// Whom a bearer token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) object_id: String,
}

impl Caller {
    /// Returns the only caller there is.
    pub(super) fn known() -> Self {
        Self { object_id: OBJECT_ID.to_owned() }
    }
}

/// What a new token says.
struct Grant<'a> {
    audience: &'a str,
    now: Timestamp,
    /// When it really ends.
    expires_at: Timestamp,
}

impl Grant<'_> {
    /// Returns the token: a JWT in form, signed with nothing that could sign for Azure.
    fn seal(&self) -> String {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "synflow-emulator" });
        let claims = json!({
            "aud": self.audience,
            "iss": format!("https://sts.windows.net/{TENANT_ID}/"),
            "iat": self.now.epoch_ms() / 1000,
            "nbf": self.now.epoch_ms() / 1000,
            "exp": self.expires_at.epoch_ms() / 1000,
            "appid": CLIENT_ID,
            "appidacr": "1",
            "idp": format!("https://sts.windows.net/{TENANT_ID}/"),
            "idtyp": "app",
            "oid": OBJECT_ID,
            "sub": OBJECT_ID,
            "tid": TENANT_ID,
            "ver": "1.0",
        });
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let seal = seal_of(&signed);
        format!("{signed}.{seal}")
    }
}

/// Checks the bearer token of a request to a workspace. The error is the answer to give.
pub(super) fn caller(request: &Request, now: Timestamp) -> Result<Caller, Box<Answer>> {
    let refused = |code: &str, message: &str| {
        let challenge = format!(
            "Bearer authorization_uri=\"{}/{TENANT_ID}\", error=\"invalid_token\", resource_id=\"{}\"",
            request.origin, WORKSPACE_AUDIENCES[0]
        );
        Box::new(Answer::flat_error(401, code, message).with_header("www-authenticate", &challenge))
    };
    let Some(header) = request.header("authorization") else {
        return Err(refused(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is not present in the request.",
        ));
    };
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some(claims) = token.and_then(|(_, token)| claims_of(token.trim())) else {
        return Err(refused(
            "InvalidTokenAuthentication",
            "Token Authentication failed with SecurityTokenInvalidSignatureException - IDX10503: Signature \
             validation failed. The token was not given out by this emulator.",
        ));
    };
    let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
    if !WORKSPACE_AUDIENCES.contains(&audience.trim_end_matches('/')) {
        return Err(refused(
            "InvalidTokenAuthenticationAudience",
            "Token Authentication failed with SecurityTokenInvalidAudienceException - IDX10214: Audience \
             validation failed. Audiences: '[PII is hidden]'. Did not match: validationParameters.ValidAudience: \
             '[PII is hidden]' or validationParameters.ValidAudiences: '[PII is hidden]'.",
        ));
    }
    let expires_ms = claims.get("exp").and_then(Value::as_i64).unwrap_or_default().saturating_mul(1000);
    if now.epoch_ms() >= expires_ms {
        let message = format!(
            "Token Authentication failed with SecurityTokenExpiredException - IDX10223: Lifetime validation failed. \
             The token is expired. ValidTo: '{}', Current time: '{}'.",
            stamp_seconds(Timestamp::from_epoch_ms(expires_ms)),
            stamp_seconds(now)
        );
        return Err(refused("InvalidTokenAuthenticationExpired", &message));
    }
    let object_id = claims.get("oid").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Caller { object_id })
}

/// Returns how long a new token is good for.
fn lifetime(identity: &script::Identity) -> Delay {
    identity.token_lifetime.map_or(TOKEN_LIFETIME, |length| length.0)
}

/// Returns the claims of one of our own tokens, or nothing if it is not one.
pub(super) fn claims_of(token: &str) -> Option<Map<String, Value>> {
    let (signed, seal) = token.rsplit_once('.')?;
    if seal_of(signed) != seal {
        return None;
    }
    unsealed_part(signed.split_once('.')?.1)
}

/// Reads one part of anybody's JWT.
fn unsealed_part(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

fn seal_of(signed: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"synflow-emulator:");
    hash.update(signed.as_bytes());
    encode(&hash.finalize())
}

/// Returns the members of a form body.
fn form(request: &Request) -> Vec<(String, String)> {
    form_members(&String::from_utf8_lossy(&request.body))
}

#[cfg(test)]
mod tests {
    use super::{CLIENT_ID, CLIENT_SECRET, Grant, OBJECT_ID, TENANT_ID, caller, token};
    use crate::emulator::model::Request;
    use crate::emulator::model::script::Identity;
    use crate::time::{Delay, Timestamp};

    const NOON: Timestamp = Timestamp::from_epoch_ms(1_800_000_000_000);

    fn sign_in(form: &str) -> crate::emulator::model::Answer {
        let mut request = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
        request.body = form.as_bytes().to_vec();
        let identity = Identity { expired_secrets: vec!["last-years".to_owned()], ..Identity::default() };
        token(&request, TENANT_ID, &identity, None, NOON)
    }

    fn with(token: &str) -> Request {
        Request::new("GET", "/pipelines").with_header("authorization", &format!("Bearer {token}"))
    }

    #[test]
    fn takes_its_own_tokens_until_they_end() {
        let good = format!(
            "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}\
             &scope=https%3A%2F%2Fdev.azuresynapse.net%2F.default"
        );
        let answer = sign_in(&good);
        assert_eq!(answer.status, 200);
        let body = answer.body_json();
        assert_eq!(body["expires_in"], 3599);
        let token = body["access_token"].as_str().expect("a token");
        assert_eq!(caller(&with(token), NOON).expect("good").object_id, OBJECT_ID);
        let late = NOON + Delay::from_secs(3600);
        let refused = caller(&with(token), late).expect_err("it has ended");
        assert_eq!(refused.status, 401);
        assert_eq!(refused.body_json()["code"], "InvalidTokenAuthenticationExpired");
    }

    #[test]
    fn refuses_what_it_did_not_give_out() {
        let check = |request: &Request, want: &str| {
            let refused = caller(request, NOON).expect_err(want);
            assert_eq!((refused.status, &refused.body_json()["code"]), (401, &want.into()));
        };
        check(&Request::new("GET", "/pipelines"), "AuthenticationFailed");
        check(&with("e30.e30.e30"), "InvalidTokenAuthentication");
        let grant = Grant {
            audience: "https://management.azure.com",
            now: NOON,
            expires_at: NOON + Delay::from_secs(60),
        };
        check(&with(&grant.seal()), "InvalidTokenAuthenticationAudience");
    }

    #[test]
    fn says_what_was_wrong_with_a_sign_in() {
        let check = |form: &str, status: u16, error: &str, code: i64| {
            let answer = sign_in(form);
            let body = answer.body_json();
            assert_eq!(answer.status, status, "{body}");
            assert_eq!((&body["error"], &body["error_codes"][0]), (&error.into(), &code.into()), "{body}");
        };
        let grant = "grant_type=client_credentials";
        let scope = "scope=https://dev.azuresynapse.net/.default";
        check(
            &format!("{grant}&client_id={CLIENT_ID}&client_secret=x&{scope}"),
            401,
            "invalid_client",
            7_000_215,
        );
        check(
            &format!("{grant}&client_id={CLIENT_ID}&client_secret=last-years&{scope}"),
            401,
            "invalid_client",
            7_000_222,
        );
        check(&format!("{grant}&client_id=x&client_secret=x&{scope}"), 400, "unauthorized_client", 700_016);
        check(
            &format!(
                "{grant}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&scope=https://a.b/.default"
            ),
            400,
            "invalid_resource",
            500_011,
        );
        check(&format!("grant_type=password&client_id={CLIENT_ID}"), 400, "unsupported_grant_type", 70_003);
    }
}
