//! Sends what a plan's webhooks are told, a few times if need be, within a limit.
//!
//! A receiver that cannot be reached is a line for people, never a reason to hold up or fail a flow. No text made here
//! holds an address: it may be a secret.

use std::future::Future;

use crate::synapse::{Http, PostFailure};
use crate::time::Delay;

/// How long the receivers may take where nothing else is set.
pub const HOOK_LIMIT: Delay = Delay::from_secs(30);

/// How often one letter is sent at most.
const SENDS_MAX: u32 = 4;

/// The part of the limit that one try may take.
const TRY_SHARE: f64 = 0.4;

/// The part of the limit that passes before the second try; three times as much before each further one.
const PAUSE_SHARE: f64 = 0.03;

/// Sends letters.
#[derive(Clone, Debug)]
pub struct Post {
    http: Http,
    limit: Delay,
}

impl Post {
    /// Makes a sender that spends this long on each letter at most.
    pub const fn new(http: Http, limit: Delay) -> Self {
        Self { http, limit }
    }

    /// Sends a letter, which is written anew for each try, until somebody takes it. Fails with the reason, for people.
    pub async fn send<W>(&self, write: impl Fn() -> W) -> Result<(), String>
    where
        W: Future<Output = Result<Letter, Refusal>>,
    {
        let mut last = "no answer in time".to_owned();
        let trying = async {
            let mut pause = self.limit.scaled(PAUSE_SHARE);
            for number in 1..=SENDS_MAX {
                match self.try_once(write()).await {
                    Ok(()) => return true,
                    Err(Refusal { why, is_final }) => {
                        last = why;
                        if is_final || number == SENDS_MAX {
                            return false;
                        }
                    }
                }
                tokio::time::sleep(pause.to_std()).await;
                pause = pause + pause + pause;
            }
            false
        };
        match tokio::time::timeout(self.limit.to_std(), trying).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(last),
            Err(_) => Err(format!("{last}; gave up after {}", self.limit.short())),
        }
    }

    async fn try_once(&self, letter: impl Future<Output = Result<Letter, Refusal>>) -> Result<(), Refusal> {
        let Letter { url, headers, body } = letter.await?;
        let limit = self.limit.scaled(TRY_SHARE);
        let sent = self.http.post_text(&url, &headers, body, limit).await;
        match sent {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(Refusal {
                why: format!("it answered {status}"),
                // What was wrong with the request is wrong the next time, too.
                is_final: !(status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)),
            }),
            Err(PostFailure::Unfit(why)) => Err(Refusal { why: why.to_owned(), is_final: true }),
            Err(PostFailure::NoAnswer(why)) => Err(Refusal { why: why.to_string(), is_final: false }),
        }
    }
}

/// What a receiver is sent, secrets included. Has no `Debug`.
pub struct Letter {
    /// The address.
    pub url: String,
    /// Headers by their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Why a try came to nothing.
pub struct Refusal {
    /// The reason, for people.
    pub why: String,
    /// Whether another try would come to nothing, too.
    pub is_final: bool,
}
