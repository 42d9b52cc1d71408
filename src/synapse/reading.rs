//! What an answer says, in the core's words: for a start, whether a run may exist; for every other call, a
//! value or a [`CallFailure`].
//!
//! Pure, and the only reader of the service's answers: the client hands it what came over the network, a
//! simulation what a model of the service said. `host` is for messages alone. An answer to a start is
//! certain or it is not (protocol 6.4); nothing in between.

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::CallFailure;
pub use super::http::{Answer, BodyError, NoAnswer, NoAnswerKind};
pub use super::wire::Page;
use super::wire::{self, ActivityRun, PipelineRun, RunListed};
use crate::definition::{Definition, Source};
use crate::flow::ActivitySeen;
use crate::flow::event::{RunId, RunSeen, StartOutcome, StepError};

/// Takes what came of a request that may be repeated without harm.
///
/// Fails if there is no answer, or only the beginning of a good one.
pub fn answered(sent: Result<Answer, NoAnswer>, host: &str) -> Result<Answer, CallFailure> {
    let unreachable = |reason| CallFailure::Unreachable { host: host.to_owned(), reason };
    let answer = sent.map_err(unreachable)?;
    match answer.body {
        Err(BodyError::Cut(reason)) if answer.status.is_success() => Err(unreachable(reason)),
        _ => Ok(answer),
    }
}

/// Reads a run; nothing if the service knows none with this id.
///
/// Fails where the answer does not show whether there is one.
pub fn run(answer: &Answer, run: RunId, host: &str) -> Result<Option<RunSeen>, CallFailure> {
    if CallFailure::no_such_run(answer).is_some() {
        return Ok(None);
    }
    let seen = RunSeen::from(value::<PipelineRun>(answer, host)?);
    if seen.run == run { Ok(Some(seen)) } else { Err(garbled(answer, answer.describe(), host)) }
}

/// Reads a page of runs.
pub fn runs(answer: &Answer, host: &str) -> Result<Page<RunListed>, CallFailure> {
    Ok(page::<PipelineRun>(answer, host)?.map(RunListed::from))
}

/// Reads a page of a run's activities.
pub fn activities(answer: &Answer, host: &str) -> Result<Page<ActivitySeen>, CallFailure> {
    Ok(page::<ActivityRun>(answer, host)?.map(ActivitySeen::from))
}

/// Reads the answer to a cancel. Taken is not done.
///
/// Fails with [`CallFailure::NoSuchRun`] if the service knows no such run.
pub fn cancel(answer: &Answer, host: &str) -> Result<(), CallFailure> {
    if let Some(message) = CallFailure::no_such_run(answer) {
        return Err(CallFailure::NoSuchRun { message });
    }
    if answer.status.is_success() { Ok(()) } else { Err(CallFailure::from_answer(answer, host)) }
}

/// Reads a pipeline as the service describes it: what a plan must know of it, and its version. `name` is for one that does
/// not name itself.
pub fn definition(resource: &Value, name: &str) -> Option<Definition> {
    let etag = resource.get("etag").and_then(Value::as_str).map(str::to_owned);
    Definition::read(resource, Source::Service { etag }, name)
}

/// Reads any answer as JSON.
pub(super) fn value<T: DeserializeOwned>(answer: &Answer, host: &str) -> Result<T, CallFailure> {
    if !answer.status.is_success() {
        return Err(CallFailure::from_answer(answer, host));
    }
    answer.json().map_err(|text| garbled(answer, text, host))
}

/// Reads any page of a list.
pub(super) fn page<T: DeserializeOwned>(answer: &Answer, host: &str) -> Result<Page<T>, CallFailure> {
    Page::read(value(answer, host)?).ok_or_else(|| garbled(answer, answer.describe(), host))
}

/// Returns the failure of an answer that is none of the service's.
pub(super) fn garbled(answer: &Answer, text: String, host: &str) -> CallFailure {
    CallFailure::Garbled { host: host.to_owned(), status: answer.status, text }
}

/// Reads the answer to a request that may have started a run.
///
/// Certain are: an answer with a run's id; 429; a 4xx other than 408 and 409 with one of the
/// service's error bodies; a connection refused and a name not found. All else may have started it.
/// `is_token_lasting_bad` says that a fresh token was not taken either.
pub fn start_outcome(sent: Result<Answer, NoAnswer>, host: &str, is_token_lasting_bad: bool) -> StartOutcome {
    let answer = match sent {
        Ok(answer) => answer,
        Err(reason) => {
            let is_never_sent = reason.is_never_sent();
            let reason = CallFailure::Unreachable { host: host.to_owned(), reason }.to_string();
            return if is_never_sent {
                StartOutcome::NotSent { reason, after: None }
            } else {
                StartOutcome::Unclear { reason }
            };
        }
    };
    let status = answer.status;
    if status.is_success() {
        return match answer.json::<wire::Started>() {
            Ok(started) => StartOutcome::Started(started.run),
            Err(text) => StartOutcome::Unclear {
                reason: CallFailure::Garbled { host: host.to_owned(), status, text }.to_string(),
            },
        };
    }
    let error = answer.body.as_ref().ok().and_then(|body| wire::service_error(body));
    let failure = CallFailure::from_answer(&answer, host);
    match (status, error) {
        (StatusCode::TOO_MANY_REQUESTS, _) => {
            StartOutcome::NotSent { reason: failure.to_string(), after: failure.after() }
        }
        // The next request takes a fresh token, which is all that an expired one needs.
        (StatusCode::UNAUTHORIZED, Some(_)) if !is_token_lasting_bad => {
            StartOutcome::NotSent { reason: failure.to_string(), after: None }
        }
        (StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT, _) => {
            StartOutcome::Unclear { reason: failure.to_string() }
        }
        (status, Some(error)) if status.is_client_error() => {
            let message = match answer.correlation() {
                Some(id) => format!("{} [correlation id {id}]", error.message),
                None => error.message,
            };
            StartOutcome::Refused(StepError { code: error.code, message, ..StepError::default() })
        }
        _ => StartOutcome::Unclear { reason: failure.to_string() },
    }
}
