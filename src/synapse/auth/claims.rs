//! Who a token says that we are.
//!
//! Read for people, never believed: nothing is validated, and nothing is decided by it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{AuthMethod, base64};
use crate::time::{Delay, Timestamp};

/// Who we are, as our token tells. Empty where it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How we signed in.
    pub method: AuthMethod,
    /// The directory's id.
    pub tenant: Option<String>,
    /// The principal's id, which roles are given to.
    pub object_id: Option<String>,
    /// The application's id.
    pub client_id: Option<String>,
    /// The user's name, for a person.
    pub name: Option<String>,
    /// Whom the token is for.
    pub audience: Option<String>,
    /// When the token ends.
    pub expires: Option<Timestamp>,
}

impl Identity {
    pub(super) fn read(method: AuthMethod, token: &SecretString) -> Self {
        let claims = claims(token.expose_secret()).unwrap_or_default();
        let text =
            |names: &[&str]| names.iter().find_map(|name| claims.get(*name)?.as_str()).map(str::to_owned);
        let expires = claims.get("exp").and_then(Value::as_u64);
        Self {
            method,
            tenant: text(&["tid"]),
            object_id: text(&["oid"]),
            client_id: text(&["appid", "azp"]),
            name: text(&["upn", "unique_name", "preferred_username"]),
            audience: text(&["aud"]),
            expires: expires.map(|epoch_s| Timestamp::from_epoch_ms(0) + Delay::from_secs(epoch_s)),
        }
    }
}

fn claims(token: &str) -> Option<Value> {
    let payload = base64::decode(token.split('.').nth(1)?)?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{AuthMethod, base64};
    use super::Identity;

    #[test]
    fn reads_what_is_there() {
        let claims = json!({"tid": "t", "oid": "o", "appid": "a", "aud": "https://x", "exp": 1_764_000_000});
        let token = format!("e30.{}.sig", base64::encode_url(claims.to_string().as_bytes()));
        let identity = Identity::read(AuthMethod::Environment, &token.into());
        assert_eq!(identity.tenant.as_deref(), Some("t"));
        assert_eq!(identity.object_id.as_deref(), Some("o"));
        assert_eq!(identity.client_id.as_deref(), Some("a"));
        assert_eq!(identity.name, None);
        assert_eq!(identity.audience.as_deref(), Some("https://x"));
        assert_eq!(identity.expires.map(|at| at.to_string()).as_deref(), Some("2025-11-24T16:00:00.000Z"));
    }

    #[test]
    fn a_token_of_another_kind_says_nothing() {
        for token in ["", "opaque", "a.b.c", "a.!!.c", "a.bnVsbA.c"] {
            let identity = Identity::read(AuthMethod::AzureCli, &token.to_owned().into());
            assert_eq!((identity.tenant, identity.expires), (None, None), "{token}");
        }
    }
}
