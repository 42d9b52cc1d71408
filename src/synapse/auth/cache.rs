//! Keeps tokens: one request at a time for each audience, renewed before they expire.
//!
//! Time is tokio's own and counts from the answer, so that a wrong wall clock does no harm. Nothing
//! here is ever written to disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::chain::{AuthMethod, Chain};
use super::claims::Identity;
use super::entra::Issued;
use super::failure::SignInFailure;
use crate::synapse::http::Http;
use crate::time::Delay;

/// How long before its end a token is renewed, unless its whole life is short.
const RENEWAL_MARGIN: Delay = Delay::from_secs(300);

/// How long a token that could not be renewed is used before the next try.
const RENEWAL_PAUSE: Delay = Delay::from_secs(30);

/// A token this close to its end may expire on its way.
const LAST_MOMENT: Delay = Delay::from_secs(10);

/// The tokens of one principal, one for each audience. Clones share them.
#[derive(Clone)]
pub struct TokenCache {
    shared: Arc<Shared>,
}

struct Shared {
    chain: Chain,
    http: Http,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// One audience.
#[derive(Default)]
struct Slot {
    /// Held while a token is asked for: the others wait for it instead of asking too.
    round: tokio::sync::Mutex<Round>,
    /// How many requests have ended; tells who waited that an answer came meanwhile.
    ended: AtomicU64,
    trust: Mutex<Trust>,
}

#[derive(Default)]
struct Round {
    held: Option<Held>,
    last_failure: Option<SignInFailure>,
    tokens: u64,
}

struct Held {
    token: Token,
    renew_at: Instant,
    expires_at: Instant,
}

/// What the service thought of our tokens, by their numbers.
#[derive(Default)]
struct Trust {
    accepted: u64,
    rejected: u64,
    is_rejection_lasting: bool,
}

/// A token to send. `Debug` hides it.
#[derive(Clone, Debug)]
pub(in crate::synapse) struct Token {
    secret: SecretString,
    method: AuthMethod,
    number: u64,
}

impl Token {
    pub(in crate::synapse) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl TokenCache {
    /// Makes an empty cache; the first use asks for a token.
    pub fn new(chain: impl Into<Chain>, http: Http) -> Self {
        let chain = chain.into();
        Self { shared: Arc::new(Shared { chain, http, slots: Mutex::default() }) }
    }

    /// Returns who we are, as the token for `audience` tells.
    ///
    /// Fails where there is no token to be had.
    pub async fn who(&self, audience: &str) -> Result<Identity, SignInFailure> {
        let token = self.token(audience).await?;
        Ok(Identity::read(token.method, &token.secret))
    }

    /// Proves that signing in for `audience` works.
    ///
    /// Fails where there is no token to be had.
    pub async fn check(&self, audience: &str) -> Result<(), SignInFailure> {
        self.token(audience).await.map(|_| ())
    }

    /// Returns a token that is good for a while. However many ask at once, one request goes out, and
    /// all share its end, a failure too. One that cannot be renewed in time is used to its own end.
    pub(in crate::synapse) async fn token(&self, audience: &str) -> Result<Token, SignInFailure> {
        let slot = self.slot(audience);
        let ended_before = slot.ended.load(Ordering::SeqCst);
        let mut round = slot.round.lock().await;
        if let Some(held) = round.held.as_ref().filter(|held| Instant::now() < held.renew_at) {
            return Ok(held.token.clone());
        }
        let is_answered_meanwhile = slot.ended.load(Ordering::SeqCst) != ended_before;
        if let Some(result) = round.result().filter(|_| is_answered_meanwhile) {
            return result;
        }
        let result = self.shared.chain.request(audience, &self.shared.http).await;
        slot.ended.fetch_add(1, Ordering::SeqCst);
        round.settle(result);
        round.result().expect("a settled round holds a token or a failure")
    }

    /// Notes that the service took `token`.
    pub(in crate::synapse) fn accepted(&self, audience: &str, token: &Token) {
        let slot = self.slot(audience);
        let mut trust = slot.trust.lock().unwrap_or_else(PoisonError::into_inner);
        trust.accepted = trust.accepted.max(token.number);
    }

    /// Forgets `token`, which the service did not take; the next use asks for another. Says whether
    /// the one before it was not taken either: then another will not help.
    pub(in crate::synapse) async fn rejected(&self, audience: &str, token: &Token) -> bool {
        let slot = self.slot(audience);
        let mut round = slot.round.lock().await;
        // Another caller may have renewed it already.
        round.held.take_if(|held| held.token.number == token.number);
        let mut trust = slot.trust.lock().unwrap_or_else(PoisonError::into_inner);
        trust.rejected(token.number)
    }

    fn slot(&self, audience: &str) -> Arc<Slot> {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(audience.to_owned()).or_default())
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("chain", &self.shared.chain).finish_non_exhaustive()
    }
}

impl Round {
    fn settle(&mut self, result: Result<(AuthMethod, Issued), SignInFailure>) {
        match result {
            Ok((method, issued)) => {
                self.tokens += 1;
                self.last_failure = None;
                let received = Instant::now();
                let token = Token { secret: issued.secret, method, number: self.tokens };
                let life = issued.lifetime;
                self.held = Some(Held {
                    token,
                    renew_at: after(received, renewed_after(life)),
                    expires_at: after(received, life),
                });
            }
            Err(failure) => {
                self.last_failure = Some(failure);
                if let Some(held) = &mut self.held {
                    held.renew_at = after(Instant::now(), RENEWAL_PAUSE).min(held.last_use());
                }
            }
        }
    }

    /// Returns how the last request ended, as long as its token is of use.
    fn result(&self) -> Option<Result<Token, SignInFailure>> {
        match (&self.held, &self.last_failure) {
            (Some(held), None) => Some(Ok(held.token.clone())),
            (Some(held), Some(_)) if Instant::now() < held.last_use() => Some(Ok(held.token.clone())),
            (_, failure) => failure.clone().map(Err),
        }
    }
}

impl Held {
    fn last_use(&self) -> Instant {
        self.expires_at.checked_sub(LAST_MOMENT.to_std()).unwrap_or(self.expires_at)
    }
}

impl Trust {
    fn rejected(&mut self, number: u64) -> bool {
        if number > self.rejected {
            self.is_rejection_lasting = self.rejected > 0 && self.accepted <= self.rejected;
            self.rejected = number;
        }
        self.is_rejection_lasting
    }
}

/// Returns the age at which a token of this life is renewed.
fn renewed_after(life: Delay) -> Delay {
    let margin = RENEWAL_MARGIN.min(Delay::from_ms(life.as_ms() / 4));
    Delay::from_ms(life.as_ms() - margin.as_ms())
}

/// Adds without overflow: a token said to live for ever lives for ten years.
fn after(start: Instant, delay: Delay) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    start + delay.to_std().min(TEN_YEARS)
}

#[cfg(test)]
mod tests {
    use super::{Trust, renewed_after};
    use crate::time::Delay;

    #[test]
    fn renews_before_the_end() {
        let check = |life_s: u64, want_s: u64| {
            assert_eq!(renewed_after(Delay::from_secs(life_s)), Delay::from_secs(want_s), "{life_s}");
        };
        check(3600, 3300);
        check(1200, 900);
        check(60, 45);
        check(0, 0);
    }

    #[test]
    fn a_rejection_lasts_when_two_tokens_in_a_row_are_not_taken() {
        let mut trust = Trust { accepted: 1, ..Trust::default() };
        assert!(!trust.rejected(1), "an expired token");
        assert!(!trust.rejected(1), "the same one, by another caller");
        assert!(trust.rejected(2), "a fresh one too");
        assert!(trust.rejected(2));
        trust.accepted = 3;
        assert!(!trust.rejected(3), "it was taken for a while");
    }
}
