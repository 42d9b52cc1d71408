//! Which request a fault of the script strikes, and what that does to its answer.

use serde_json::json;

use super::generator::Generator;
use super::message::{Answer, Fate};
use super::operation::Target;
use super::stamp::http_date;
use crate::emulator::model::script::{BodyForm, Fault, FaultKind, RetryAfter, Script};
use crate::time::{Delay, Timestamp};

/// The script's faults and how often each has met its requests.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<(Fault, u64)>,
    dice: Generator,
}

/// What strikes one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Strike {
    fault: Option<Fault>,
}

impl Faults {
    pub(super) fn new(script: &Script, workspace: &str) -> Self {
        Self {
            rules: script.faults.iter().map(|fault| (fault.clone(), 0)).collect(),
            dice: Generator::new(script.seed, &format!("faults of {workspace}")),
        }
    }

    /// Finds what strikes a request. Every rule that fits counts it; the first that strikes wins.
    pub(super) fn strike(&mut self, target: &Target, pipeline: &str) -> Strike {
        let mut struck = None;
        for (fault, met) in &mut self.rules {
            let fits = fault.on.0.contains(&target.operation)
                && fault.pipeline.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(pipeline));
            if !fits {
                continue;
            }
            *met += 1;
            let in_turn =
                *met > fault.skip && fault.first.is_none_or(|first| *met <= fault.skip.saturating_add(first));
            // Every rule throws for every request that fits, so that one rule's turn never moves another's luck.
            let is_lucky = fault.probability.is_none_or(|probability| self.dice.chance(probability));
            if in_turn && is_lucky && struck.is_none() {
                struck = Some(fault.clone());
            }
        }
        Strike { fault: struck }
    }
}

impl Strike {
    /// Returns the answer where the request is not carried out at all.
    pub(super) fn before(&self, now: Timestamp, script: &Script) -> Option<Answer> {
        let fault = self.fault.as_ref().filter(|fault| !fault.accepted)?;
        match fault.kind {
            FaultKind::Status | FaultKind::Html => Some(error_answer(fault, now, script)),
            FaultKind::Cut => Some(Answer { fate: Fate::Cut, ..Answer::empty(502) }),
            _ => None,
        }
    }

    /// Changes the answer of a request that was carried out.
    pub(super) fn after(&self, answer: Answer, now: Timestamp, script: &Script) -> Answer {
        let Some(fault) = &self.fault else { return answer };
        let length = fault.length.map_or(Delay::ZERO, |length| script.speed.shorten(length.0));
        match fault.kind {
            FaultKind::Status | FaultKind::Html => error_answer(fault, now, script),
            FaultKind::Cut => Answer { fate: Fate::Cut, ..answer },
            FaultKind::CutInBody => Answer { fate: Fate::CutInBody, ..answer },
            FaultKind::Truncate => {
                let half = answer.body.len() / 2;
                Answer { body: answer.body[..half].to_vec(), ..answer }
            }
            FaultKind::Slow => Answer { delay: length, ..answer },
            FaultKind::Clock => {
                let ahead = fault.ahead.unwrap_or_default().ahead_ms;
                let wrong = Timestamp::from_epoch_ms(now.epoch_ms().saturating_add(ahead));
                answer.with_header("date", &http_date(wrong))
            }
            FaultKind::ListLag | FaultKind::HideRun | FaultKind::ShortToken => answer,
        }
    }

    /// Returns how young a run must be for a list to miss it.
    pub(super) fn list_lag(&self, script: &Script) -> Option<Delay> {
        self.length_of(FaultKind::ListLag, script)
    }

    /// Returns how young a run must be for a GET to miss it.
    pub(super) fn hides_run(&self, script: &Script) -> Option<Delay> {
        self.length_of(FaultKind::HideRun, script)
    }

    /// Returns when a token really ends.
    pub(super) fn short_token(&self, script: &Script) -> Option<Delay> {
        self.length_of(FaultKind::ShortToken, script)
    }

    fn length_of(&self, kind: FaultKind, script: &Script) -> Option<Delay> {
        let fault = self.fault.as_ref().filter(|fault| fault.kind == kind)?;
        fault.length.map(|length| script.speed.shorten(length.0))
    }
}

/// Returns a gateway's or the service's own error, as the rule says.
fn error_answer(fault: &Fault, now: Timestamp, script: &Script) -> Answer {
    let status = fault.status.unwrap_or(502);
    let shorten = |length: crate::emulator::model::script::Length| script.speed.shorten(length.0);
    let (code, message) = words(status);
    // The service says it in words, too (protocol 6.2).
    let wait = fault.retry_after.filter(|_| status == 429).map(|after| shorten(after.length()));
    let message = match wait {
        Some(wait) => format!("{message} Retry in {} seconds.", wait.as_ms().div_ceil(1000)),
        None => message.to_owned(),
    };
    let message = message.as_str();
    let form =
        if fault.kind == FaultKind::Html { BodyForm::Html } else { fault.body.unwrap_or(BodyForm::Wrapped) };
    let answer = match form {
        BodyForm::Wrapped => Answer::json(status, &json!({ "error": { "code": code, "message": message } })),
        BodyForm::Flat => Answer::flat_error(status, code, message),
        BodyForm::Empty => Answer::empty(status),
        BodyForm::Html => {
            let page = format!(
                "<html><head><title>{status} {message}</title></head><body><center><h1>{status} {message}</h1>\
                 </center><hr><center>Microsoft-Azure-Application-Gateway/v2</center></body></html>"
            );
            let answer = Answer { body: page.into_bytes(), ..Answer::empty(status) };
            answer.with_header("content-type", "text/html")
        }
    };
    match fault.retry_after {
        None => answer,
        Some(RetryAfter::Seconds(length)) => {
            answer.with_header("retry-after", &shorten(length).as_ms().div_ceil(1000).to_string())
        }
        Some(RetryAfter::Date(length)) => {
            answer.with_header("retry-after", &http_date(now + shorten(length)))
        }
        Some(RetryAfter::Ms(length)) => {
            answer.with_header("retry-after-ms", &shorten(length).as_ms().to_string())
        }
        Some(RetryAfter::XMs(length)) => {
            answer.with_header("x-ms-retry-after-ms", &shorten(length).as_ms().to_string())
        }
    }
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("AuthenticationFailed", "Authentication failed."),
        403 => ("Unauthorized", "The principal does not have the required Synapse RBAC permission."),
        404 => ("NotFound", "The resource was not found."),
        408 => ("RequestTimeout", "The request timed out."),
        409 => ("Conflict", "The request conflicts with another one."),
        429 => {
            ("TooManyRequests", "You have exceeded the amount of requests allowed in the current time frame.")
        }
        500 => ("InternalServerError", "Internal error has occurred"),
        502 => ("BadGateway", "Bad Gateway"),
        503 => ("ServiceUnavailable", "The service is unavailable."),
        504 => ("GatewayTimeout", "The gateway did not receive a response within the specified time period."),
        _ => ("Error", "The request could not be carried out."),
    }
}
