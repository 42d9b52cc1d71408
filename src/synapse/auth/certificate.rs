//! Signing in with a certificate: an assertion that its key has signed (protocol 1.4).

use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::base64;
use super::failure::SignInFailure;
use crate::time::Timestamp;

/// How long an assertion is good.
const ASSERTION_LIFE_S: i64 = 600;

/// A certificate and its key.
#[derive(Debug)]
struct Certificate {
    thumbprint: String,
    key_pem: SecretString,
}

/// Returns a fresh assertion of `client_id` for the token endpoint `audience`, signed with the key in
/// the PEM file at `path`. The file is read anew each time: certificates are renewed under us.
pub(super) fn assertion(
    path: &Path,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<SecretString, SignInFailure> {
    let shown = path.display();
    let unusable = |reason: String| SignInFailure::Unusable { reason };
    let pem = std::fs::read_to_string(path)
        .map_err(|error| unusable(format!("cannot read the certificate `{shown}`: {error}")))?;
    let certificate = Certificate::read(&pem.into())
        .map_err(|reason| unusable(format!("the certificate `{shown}` {reason}")))?;
    certificate
        .sign(client_id, audience, now)
        .ok_or_else(|| unusable(format!("the key in `{shown}` is no RSA key that can sign")))
}

impl Certificate {
    /// Reads the first certificate and the key of a PEM text. Fails with what is wrong, for people.
    fn read(pem: &SecretString) -> Result<Self, &'static str> {
        let pem = pem.expose_secret();
        let (_, body) = block(pem, |label| label == "CERTIFICATE").ok_or("holds no certificate in PEM")?;
        let der = base64::decode(body).ok_or("is damaged")?;
        let is_key = |label: &str| label.ends_with("PRIVATE KEY");
        let (key_pem, _) = block(pem, is_key).ok_or("holds no private key; put both into one PEM file")?;
        if key_pem.contains("ENCRYPTED") {
            return Err("has a key with a password; synflow takes keys without one");
        }
        let thumbprint = base64::encode_url(Sha256::digest(der).as_slice());
        Ok(Self { thumbprint, key_pem: key_pem.to_owned().into() })
    }

    fn sign(&self, client_id: &str, audience: &str, now: Timestamp) -> Option<SecretString> {
        let issued_s = now.epoch_ms() / 1000;
        let claims = json!({
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "jti": Uuid::new_v4().to_string(),
            "nbf": issued_s,
            "iat": issued_s,
            "exp": issued_s + ASSERTION_LIFE_S,
        });
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(self.thumbprint.clone());
        let key = EncodingKey::from_rsa_pem(self.key_pem.expose_secret().as_bytes()).ok()?;
        jsonwebtoken::encode(&header, &claims, &key).ok().map(SecretString::from)
    }
}

/// Returns the first PEM block whose label fits: as a whole, and what stands between its lines.
fn block(pem: &str, fits: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = pem;
    loop {
        rest = &rest[rest.find(BEGIN)?..];
        let (label, body) = rest[BEGIN.len()..].split_once("-----")?;
        let end = format!("-----END {label}-----");
        let body_len = body.find(&end)?;
        let whole_len = BEGIN.len() + label.len() + "-----".len() + body_len + end.len();
        if fits(label) {
            return Some((&rest[..whole_len], &body[..body_len]));
        }
        rest = &rest[whole_len..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificate, block};

    #[test]
    fn finds_blocks_in_any_order() {
        let pem = "Bag\n-----BEGIN A-----\nxx\n-----END A-----\n-----BEGIN B-----\nyy\n-----END B-----\n";
        assert_eq!(block(pem, |label| label == "A").map(|(_, body)| body), Some("\nxx\n"));
        let whole = "-----BEGIN B-----\nyy\n-----END B-----";
        assert_eq!(block(pem, |label| label == "B"), Some((whole, "\nyy\n")));
        assert_eq!(block(pem, |label| label == "C"), None);
        assert_eq!(block("-----BEGIN A-----\nxx", |_| true), None);
    }

    #[test]
    fn says_what_a_file_lacks() {
        let check = |pem: &str, want: &str| {
            let got = Certificate::read(&pem.to_owned().into()).expect_err("no certificate");
            assert!(got.contains(want), "{got}");
        };
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check("", "no certificate");
        check(certificate, "no private key");
        check("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "damaged");
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        check(&format!("{certificate}{locked}"), "password");
    }
}
