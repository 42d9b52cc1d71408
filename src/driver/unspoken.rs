//! What the loop never records, shows or passes on: secrets that a service's own words repeat.

use std::collections::BTreeSet;

use crate::driver::Driver;
use crate::flow::{ActivitySeen, Event, Flow, StartOutcome, StepError};
use crate::plan::{Cloud, SecretText, StepIndex};
use crate::secret::{SecretFailure, Secrets, Wanted};
use crate::time::{Delay, Timestamp};

/// How long reading the secrets that were sent may take before the flow goes on without them: a signal must be obeyed
/// within two seconds.
const RECALL_MAX: Delay = Delay::from_ms(1_500);

impl Driver {
    /// Reads the secrets that a process before this one has sent, as far as they can be read: the service may yet repeat
    /// them, in the run of another step, too.
    pub(super) async fn recall_secrets(&mut self) {
        self.secrets.recall(&sent(&self.flow), RECALL_MAX).await;
    }

    /// Returns events that hold no secret.
    pub(super) fn without_secrets(&self, events: &[Event]) -> Vec<Event> {
        let mut events = events.to_vec();
        for event in &mut events {
            let step = event.step().and_then(|id| self.flow.index(id));
            let (cloud, secrets) = step.map_or((Cloud::default(), &[][..]), |step| self.secrets_of(step));
            event.drop_values(&|value| self.secrets.why_withheld(cloud, secrets, value).map(str::to_owned));
            event.reword(&|text| self.secrets.hide(cloud, secrets, text));
        }
        events
    }

    /// Takes secrets out of what activities tell.
    pub(super) fn hide_in_activities(&self, step: StepIndex, activities: &mut [ActivitySeen]) {
        let (cloud, secrets) = self.secrets_of(step);
        hide(&self.secrets, cloud, secrets, activities);
    }

    /// Takes secrets out of the errors of activities; what outputs take of the rest is looked through when it is recorded.
    pub(super) fn hide_in_errors(&self, step: StepIndex, activities: &mut [ActivitySeen]) {
        let (cloud, secrets) = self.secrets_of(step);
        hide_in_errors(&self.secrets, cloud, secrets, activities);
    }

    /// Shows a text without the secrets in it.
    pub(super) fn note(&mut self, at: Timestamp, text: &str) {
        let text = self.unspoken(text);
        self.report.note(at, &text);
    }

    /// Returns a text without the secrets in it.
    pub(super) fn unspoken(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.secrets.hide(Cloud::default(), &[], &mut text);
        text
    }

    /// Returns the cloud of a step and the texts with secrets that its newest attempt sends.
    fn secrets_of(&self, step: StepIndex) -> (Cloud, &[SecretText]) {
        let cloud = self.flow.plan().workspaces[self.flow.step(step).workspace].cloud;
        (cloud, self.flow.run(step).last_attempt().map_or(&[], |attempt| &attempt.secrets))
    }
}

/// Returns the secrets that the attempts of a flow have sent, each once: first those of steps that are not over.
pub fn sent(flow: &Flow) -> Vec<Wanted> {
    let mut known = BTreeSet::new();
    let of = |is_over: bool| {
        let steps = flow.steps().filter(move |(_, _, run)| run.is_over() == is_over);
        steps.flat_map(|(_, step, run)| {
            let cloud = flow.plan().workspaces[step.workspace].cloud;
            let secrets = run.attempts.iter().flat_map(|attempt| &attempt.secrets);
            secrets.flat_map(SecretText::references).map(move |reference| (cloud, reference.clone()))
        })
    };
    of(false).chain(of(true)).filter(|wanted| known.insert(wanted.clone())).collect()
}

/// Takes secrets out of what activities tell, of a run that was sent these.
pub fn hide(secrets: &Secrets, cloud: Cloud, sent: &[SecretText], activities: &mut [ActivitySeen]) {
    hide_in_errors(secrets, cloud, sent, activities);
    for activity in activities {
        secrets.hide_in(cloud, sent, &mut activity.output);
    }
}

fn hide_in_errors(secrets: &Secrets, cloud: Cloud, sent: &[SecretText], activities: &mut [ActivitySeen]) {
    for activity in activities {
        secrets.hide(cloud, sent, &mut activity.error.code);
        secrets.hide(cloud, sent, &mut activity.error.message);
    }
}

/// Returns what came of a start whose secrets could not be read: nothing was sent.
pub(super) fn without_secret(failure: &SecretFailure) -> StartOutcome {
    let message = failure.to_string();
    if failure.is_transient() {
        return StartOutcome::NotSent { reason: message, after: failure.after() };
    }
    StartOutcome::Refused(StepError { code: "SecretUnreadable".to_owned(), message, ..StepError::default() })
}
