//! What the receivers of a plan's webhooks are told: addresses, headers and bodies, made but not sent.
//!
//! Pure: the same flow gives the same notices, ids included, so that a receiver knows one that comes twice. The form of
//! what is told where the plan says nothing is a CloudEvent, version 1.0, as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::flow::{Flow, FlowOutcome, Outcome, StepError, StepRun, StepState};
use crate::plan::{self, Hook, Rendered, Scope, SecretText, Step, StepFacts, StepId, Template};
use crate::time::{Delay, Timestamp};

/// How many steps that went wrong are told one by one.
const FAILED_MAX: usize = 20;

/// How many of them the summary names.
const SUMMARY_FAILED_MAX: usize = 3;

/// How much of an error's text is told.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// How much of it the summary holds.
const SUMMARY_CHARS_MAX: usize = 200;

/// Why receivers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The flow has ended.
    Finish,
    /// It has ended badly, or waits for a person.
    Failure,
    /// It will miss its deadline, or has.
    Deadline,
}

impl Occasion {
    /// Returns the plan's key for it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Finish => "on_finish",
            Self::Failure => "on_failure",
            Self::Deadline => "on_deadline",
        }
    }

    /// Returns the type of its CloudEvent.
    const fn event_type(self) -> &'static str {
        match self {
            Self::Finish => "io.synflow.flow.finished",
            Self::Failure => "io.synflow.flow.failed",
            Self::Deadline => "io.synflow.flow.deadline",
        }
    }
}

/// A request to be sent to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which of the plan's webhooks it is, for people.
    pub name: String,
    /// The same each time it is sent.
    pub id: String,
    /// As much of the address as may be shown.
    pub origin: String,
    /// The type of the body.
    pub kind: String,
    /// What is sent, as `url`, `headers` and `body`. A secret stands as the template that asks for it; an address may be
    /// one all the same, and so is never shown.
    pub request: Map<String, Value>,
    /// The texts of the request that hold secrets.
    pub secrets: Vec<SecretText>,
}

/// A notice that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmade {
    /// Which of the plan's webhooks it is, for people.
    pub name: String,
    /// Why, for people.
    pub why: String,
}

impl Flow {
    /// Says why receivers are told of the flow as it has ended or come to a stand: everybody of its end, some if that
    /// is bad.
    ///
    /// Bad is every exit code but those of success, with warnings or without.
    pub fn occasions(&self) -> Vec<Occasion> {
        let is_bad = |code: u8| !matches!(code, 0 | 13);
        match self.exit_code() {
            Some(code) if is_bad(code) => vec![Occasion::Finish, Occasion::Failure],
            Some(_) => vec![Occasion::Finish],
            None if self.waits_for_a_person() => vec![Occasion::Failure],
            None => Vec::new(),
        }
    }

    /// Returns what the plan's receivers are told on this occasion, in the plan's order.
    pub fn notices(&self, occasion: Occasion) -> Vec<Result<Notice, Unmade>> {
        let hooks = &self.plan().hooks;
        let list = match occasion {
            Occasion::Finish => &hooks.on_finish,
            Occasion::Failure => &hooks.on_failure,
            Occasion::Deadline => &hooks.on_deadline,
        };
        let made = list.iter().enumerate().map(|(at, hook)| {
            let name = match list.len() {
                1 => occasion.key().to_owned(),
                of => format!("{} ({} of {of})", occasion.key(), at + 1),
            };
            self.notice(hook, occasion, at, &name).map_err(|why| Unmade { name, why })
        });
        made.collect()
    }

    fn notice(&self, hook: &Hook, occasion: Occasion, at: usize, name: &str) -> Result<Notice, String> {
        let scope = self.telling_scope(hook, occasion);
        let url = text(&hook.url, &scope).map_err(|why| format!("its `url`: {why}"))?;
        let origin = plan::shown_address(&url)
            .map_err(|refusal| format!("its `url` {}; {}", refusal.reason, refusal.help))?;
        // By its last event: an end that comes after a resume is another one.
        let id = format!("{}-{}-{}-{}", self.header().id, self.last_seq(), occasion.key(), at + 1);
        let (kind, body) = match hook.body.as_ref().map(|body| body.render_for_request(&scope)) {
            None => ("application/cloudevents+json; charset=utf-8", plain(self.event(occasion, &id))),
            Some(Err(why)) => return Err(format!("its `body`: {why}")),
            Some(Ok(body)) if body.value.is_string() => ("text/plain; charset=utf-8", body),
            Some(Ok(body)) => ("application/json", body),
        };
        let mut kind = kind.to_owned();
        let mut headers = vec![("Content-Type".to_owned(), plain(kind.as_str().into()))];
        for (name, value) in &hook.headers {
            let value = text(value, &scope).map_err(|why| format!("its header `{name}`: {why}"))?;
            if name.eq_ignore_ascii_case("content-type") {
                value.value.as_str().unwrap_or_default().clone_into(&mut kind);
                headers.remove(0);
            }
            headers.push((name.clone(), value));
        }
        let (headers, of_headers) = plan::gather(headers);
        let headers = Rendered { value: headers.into(), secrets: of_headers };
        let members = [("url", url), ("headers", headers), ("body", body)];
        let (request, secrets) = plan::gather(members.map(|(key, value)| (key.to_owned(), value)));
        Ok(Notice { name: name.to_owned(), id, origin, kind, request, secrets })
    }

    /// Returns the names that the templates of a webhook may use now.
    fn telling_scope(&self, hook: &Hook, occasion: Occasion) -> Scope {
        let steps = hook.templates().flat_map(Template::steps);
        let mut told = Map::new();
        told.insert("summary".to_owned(), self.summary(occasion).into());
        if let (Occasion::Deadline, Some(due)) = (occasion, self.due()) {
            told.insert("deadline".to_owned(), due.at.to_string().into());
        } else {
            let (outcome, code) = (self.outcome(), self.exit_code());
            told.insert("outcome".to_owned(), outcome.word().into());
            told.insert("exit_code".to_owned(), code.unwrap_or_else(|| outcome.exit_code()).into());
            told.insert("ended_at".to_owned(), self.told_at().to_string().into());
        }
        Scope {
            inputs: self.plan().inputs.clone(),
            env: self.plan().env.clone(),
            plan_name: self.plan().name.clone(),
            environment: self.plan().environment.clone(),
            flow: Some((self.header().id.to_string(), self.header().created_at.to_string())),
            told,
            steps: steps.filter_map(|id| Some((id.clone(), self.facts(id)?))).collect(),
            each: None,
        }
    }

    fn facts(&self, id: &StepId) -> Option<StepFacts> {
        let step = self.index(id)?;
        let run = self.run(step);
        let is_live = self.live().any(|live| live == step);
        let outcome = run.outcome().map_or(if is_live { "running" } else { "waiting" }, Outcome::word);
        let attempt = run.last_attempt().filter(|attempt| attempt.started_at.is_some());
        Some(StepFacts {
            outcome: outcome.to_owned(),
            run_id: attempt.map(|attempt| attempt.run.to_string()),
            outputs: super::outputs::known(self, step),
        })
    }

    /// Returns when what is told came to be.
    fn told_at(&self) -> Timestamp {
        self.ended_at().or(self.last_event_at()).unwrap_or(self.header().created_at)
    }

    /// Returns the CloudEvent of an occasion.
    fn event(&self, occasion: Occasion, id: &str) -> Value {
        json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("urn:synflow:{}", percent_encoded(&self.header().plan_name)),
            "type": occasion.event_type(),
            "subject": self.header().id,
            "time": self.last_event_at().unwrap_or(self.header().created_at),
            "datacontenttype": "application/json",
            "data": self.data(occasion),
        })
    }

    fn data(&self, occasion: Occasion) -> Value {
        let (header, counts) = (self.header(), self.counts());
        let outcome = (occasion != Occasion::Deadline).then(|| self.outcome());
        let bad: Vec<_> = self.gone_wrong().collect();
        let failed: Vec<Value> =
            bad.iter().take(FAILED_MAX).map(|(step, run, outcome)| failed(step, run, *outcome)).collect();
        json!({
            "flow": header.id,
            "plan": header.plan_name,
            "environment": header.environment,
            "run_key": header.run_key,
            "summary": self.summary(occasion),
            "outcome": outcome.map(FlowOutcome::word),
            "exit_code": self.exit_code().or(outcome.map(FlowOutcome::exit_code)),
            "started_at": self.started_at().unwrap_or(header.created_at),
            "ended_at": self.ended_at(),
            "counts": {
                "total": counts.total,
                "succeeded": counts.succeeded,
                "warned": counts.warned,
                "failed": counts.failed,
                "not_run": counts.not_run,
                "running": counts.running,
                "waiting": counts.waiting,
                "unknown": counts.unknown,
            },
            "failed": failed,
            "failed_left_out": bad.len().saturating_sub(FAILED_MAX),
            "deadline": self.due().map(|due| json!({
                "at": due.at,
                "missed": due.missed_at.is_some(),
                "forecast": due.at_risk.map(|(_, forecast)| forecast),
            })),
            "next": self.next_command(),
        })
    }

    /// Returns the steps that did not end well and count.
    fn gone_wrong(&self) -> impl Iterator<Item = (&Step, &StepRun, Outcome)> {
        self.steps().filter_map(|(_, step, run)| {
            let outcome = run.outcome()?;
            let is_bad = match outcome {
                Outcome::Unknown => true,
                Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled => !step.allow_failure,
                _ => false,
            };
            is_bad.then_some((step, run, outcome))
        })
    }

    /// Returns the command with which a person goes on; nothing if there is nothing to do.
    fn next_command(&self) -> Option<String> {
        let id = &self.header().id;
        let unknown = self.steps().find(|(_, _, run)| run.state == StepState::Unknown);
        match unknown.filter(|_| self.waits_for_a_person()) {
            Some((_, step, _)) => {
                Some(format!("synflow resolve {id} {} --run RUN | --not-started | --give-up", step.id))
            }
            None if self.went_well() => None,
            None if self.is_settled() => Some(format!("synflow resume {id}")),
            None => Some(format!("synflow status {id}")),
        }
    }

    /// Returns all that matters in a sentence.
    fn summary(&self, occasion: Occasion) -> String {
        let counts = self.counts();
        let begun = self.started_at().unwrap_or(self.header().created_at);
        let mut text = format!("{}: flow {} ", self.header().plan_name, self.header().id);
        let due = self.due().filter(|_| occasion == Occasion::Deadline);
        match due {
            Some(due) if due.missed_at.is_some() => {
                let _ = write!(text, "has missed its deadline {}", due.at.spoken());
            }
            Some(due) => {
                let late = due.at_risk.map_or(Delay::ZERO, |(_, forecast)| forecast.since(due.at));
                let _ =
                    write!(text, "is likely to miss its deadline {} by {}", due.at.spoken(), late.short());
            }
            None => {
                let verdict = match self.outcome() {
                    FlowOutcome::Succeeded => "succeeded",
                    FlowOutcome::Failed => "failed",
                    FlowOutcome::TimedOut => "timed out",
                    FlowOutcome::DeadlineMissed => "missed its deadline, done",
                    FlowOutcome::Cancelled => "was cancelled",
                    FlowOutcome::Unknown => "waits for a person",
                };
                let _ = write!(text, "{verdict} after {}", self.told_at().since(begun).short());
            }
        }
        let parts = [
            (counts.succeeded + counts.warned, "succeeded"),
            (counts.failed, "failed"),
            (counts.not_run, "not run"),
            (counts.unknown, "unknown"),
            (counts.running, "running"),
            (counts.waiting, "waiting"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        let _ = write!(text, "; {}", parts.join(", "));
        for (step, run, outcome) in self.gone_wrong().take(SUMMARY_FAILED_MAX) {
            let _ = write!(text, "; {} {}", step.id, outcome.word().replace('_', " "));
            if let Some(error) = run.error() {
                let code = if error.code.is_empty() { String::new() } else { format!("{}: ", error.code) };
                let message = error.message.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = write!(text, ": {code}{}", cut(&message, SUMMARY_CHARS_MAX));
            }
        }
        text
    }
}

/// Returns what is told of a step that did not end well.
fn failed(step: &Step, run: &StepRun, outcome: Outcome) -> Value {
    let attempt = run.last_attempt().filter(|attempt| attempt.started_at.is_some());
    let nothing = StepError::default();
    let error = run.error().unwrap_or(&nothing);
    let message = if error.message.is_empty() { &run.reason } else { &error.message };
    json!({
        "step": step.id,
        "pipeline": step.pipeline,
        "outcome": outcome.word(),
        "run_id": attempt.map(|attempt| attempt.run.to_string()),
        "attempts": run.attempts.len(),
        "activity": error.activity,
        "via": error.via,
        "code": error.code,
        "message": cut(message, MESSAGE_CHARS_MAX),
    })
}

fn text(template: &Template, scope: &Scope) -> Result<Rendered, String> {
    template.render_for_request(scope)?.into_text().map_err(|_| "the template gives no text".to_owned())
}

/// Returns a value without secrets.
const fn plain(value: Value) -> Rendered {
    Rendered { value, secrets: Vec::new() }
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes a name so that it can stand in an address.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
