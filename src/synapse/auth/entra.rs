//! The token endpoint: one form post, and what its answer means.

use http::StatusCode;
use reqwest::{Method, Url};
use secrecy::SecretString;

use super::failure::{Refusal, SignInFailure};
use crate::synapse::endpoint::Endpoint;
use crate::synapse::http::{Answer, Http, NoAnswer};
use crate::synapse::wire::{self, TokenAnswer};
use crate::time::{Delay, Timestamp};

/// What a token lives if its issuer does not say: the least that Entra gives (protocol 1.3).
const LIFETIME_UNSAID: Delay = Delay::from_secs(3600);

/// A token as its issuer gave it, and for how long.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) secret: SecretString,
    pub(super) lifetime: Delay,
}

impl Issued {
    /// Reads an issuer's answer. An end that is a date counts from `now`.
    pub(super) fn new(answer: TokenAnswer, now: Timestamp) -> Self {
        let until_end = answer.expires_on.map(|epoch_s| Delay::from_secs(epoch_s).as_ms());
        let until_end = until_end.map(|ms| Delay::from_ms(ms.saturating_sub(now.epoch_ms().unsigned_abs())));
        let lifetime = answer.expires_in.map(Delay::from_secs).or(until_end).unwrap_or(LIFETIME_UNSAID);
        Self { secret: answer.access_token, lifetime }
    }
}

/// Returns the URL that issues tokens for a tenant.
pub(super) fn token_url(authority: &Endpoint, tenant: &str) -> Result<Url, SignInFailure> {
    let unusable = || SignInFailure::Unusable { reason: format!("`{tenant}` names no tenant") };
    authority.path(&[tenant, "oauth2", "v2.0", "token"]).ok_or_else(unusable)
}

/// Asks the token endpoint once, as the application `client_id` that `proof` proves.
pub(super) async fn request(
    url: Url,
    client_id: &str,
    proof: &[(&str, &str)],
    audience: &str,
    http: &Http,
) -> Result<Issued, SignInFailure> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let scope = format!("{}/.default", audience.trim_end_matches('/'));
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", client_id)];
    form.extend(proof);
    form.push(("scope", &scope));
    let sent = http.send(http.request(Method::POST, url).form(&form)).await;
    issued(sent, &host, &[])
}

/// Reads an issuer's answer; `busy` lists statuses besides the usual ones that pass.
///
/// Every other 4xx is final (protocol 1.8). The text of an answer that should hold a token is never
/// shown.
pub(super) fn issued(
    sent: Result<Answer, NoAnswer>,
    host: &str,
    busy: &[StatusCode],
) -> Result<Issued, SignInFailure> {
    let host = host.to_owned();
    let answer = match sent {
        Ok(answer) => answer,
        Err(reason) => return Err(SignInFailure::Unreachable { host, reason }),
    };
    let status = answer.status;
    if status.is_success() {
        let token = answer.json::<TokenAnswer>().map_err(|_| SignInFailure::Garbled { host, status })?;
        let now = answer.server_time().unwrap_or_else(super::wall_clock);
        return Ok(Issued::new(token, now));
    }
    refused(&answer, host, busy)
}

/// Reads an answer that is no success.
pub(super) fn refused<T>(answer: &Answer, host: String, busy: &[StatusCode]) -> Result<T, SignInFailure> {
    let status = answer.status;
    let is_busy = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || busy.contains(&status);
    if is_busy {
        return Err(SignInFailure::Busy { host, status, after: answer.retry_after() });
    }
    match answer.json::<wire::TokenError>() {
        Ok(refusal) => Err(SignInFailure::Refused(Refusal {
            status,
            error: refusal.error,
            description: refusal.error_description.lines().next().unwrap_or_default().trim().to_owned(),
            codes: refusal.error_codes,
            correlation: refusal.correlation_id,
        })),
        Err(_) if status.is_client_error() => Err(SignInFailure::Refused(Refusal {
            status,
            error: String::new(),
            description: answer.describe(),
            codes: Vec::new(),
            correlation: String::new(),
        })),
        Err(_) => Err(SignInFailure::Garbled { host, status }),
    }
}
