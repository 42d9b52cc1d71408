//! What the loop never records, shows or passes on: secrets that a service's own words repeat.

use std::collections::BTreeSet;

use crate::driver::Driver;
use crate::flow::{ActivitySeen, Event, StartOutcome, StepError};
use crate::plan::{Cloud, SecretText, StepIndex};
use crate::secret::{SecretFailure, Wanted};
use crate::time::{Delay, Timestamp};

/// How long reading the secrets of runs under way may take before the flow goes on without them: a signal must be obeyed
/// within two seconds.
const RECALL_MAX: Delay = Delay::from_ms(1_500);

impl Driver {
    /// Reads the secrets that a process before this one has sent, as far as they can be read: the service may yet repeat
    /// them.
    pub(super) async fn recall_secrets(&mut self) {
        let open = self.flow.live().chain(self.flow.unknown());
        let wanted: BTreeSet<Wanted> = open
            .flat_map(|step| {
                let (cloud, secrets) = self.secrets_of(step);
                let references = secrets.iter().flat_map(SecretText::references);
                references.map(move |reference| (cloud, reference.clone()))
            })
            .collect();
        self.secrets.recall(&wanted, RECALL_MAX).await;
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
        self.hide_in_errors(step, activities);
        let (cloud, secrets) = self.secrets_of(step);
        for activity in activities {
            self.secrets.hide_in(cloud, secrets, &mut activity.output);
        }
    }

    /// Takes secrets out of the errors of activities; what outputs take of the rest is looked through when it is recorded.
    pub(super) fn hide_in_errors(&self, step: StepIndex, activities: &mut [ActivitySeen]) {
        let (cloud, secrets) = self.secrets_of(step);
        for activity in activities {
            self.secrets.hide(cloud, secrets, &mut activity.error.code);
            self.secrets.hide(cloud, secrets, &mut activity.error.message);
        }
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

/// Returns what came of a start whose secrets could not be read: nothing was sent.
pub(super) fn without_secret(failure: &SecretFailure) -> StartOutcome {
    let message = failure.to_string();
    if failure.is_transient() {
        return StartOutcome::NotSent { reason: message, after: failure.after() };
    }
    StartOutcome::Refused(StepError { code: "SecretUnreadable".to_owned(), message, ..StepError::default() })
}
