//! What others had a part in of an event: all that may be worded anew, or left out, before the event is recorded.

use serde_json::Value;

use crate::flow::event::{Event, Restart, RunStatus, StepError};

impl Event {
    /// Leaves out every value that a run gave for which `refuse` has a reason; later steps are told that instead.
    ///
    /// A value is never worded anew: another step would be sent what no run gave.
    pub fn drop_values(&mut self, refuse: &dyn Fn(&Value) -> Option<String>) {
        let given = match self {
            Self::RunEnded { returned, .. } => returned.as_mut(),
            Self::AttemptEnded { outputs, .. } => outputs.as_mut(),
            _ => None,
        };
        let Some(outputs) = given else { return };
        let refused = |(name, value): (&String, &Value)| Some((name.clone(), refuse(value)?));
        let refused: Vec<(String, String)> = outputs.values.iter().filter_map(refused).collect();
        for (name, why) in refused {
            outputs.values.remove(&name);
            outputs.absent.insert(name, why);
        }
    }

    /// Changes every text in it that the service or the system had a part in; names, ids and values stay as they are.
    pub fn reword(&mut self, reword: &dyn Fn(&mut String)) {
        let error = |error: &mut StepError| {
            reword(&mut error.code);
            reword(&mut error.message);
        };
        match self {
            Self::StartNotSent { reason, .. } | Self::StepEnded { reason, .. } => reword(reason),
            Self::StartUnclear { reason, refusal, .. } => {
                reword(reason);
                refusal.iter_mut().for_each(error);
            }
            Self::StartRefused { error: refusal, .. } => error(refusal),
            Self::RunChanged { status: RunStatus::Other(word), .. } => reword(word),
            Self::RunEnded { message, returned, .. } => {
                reword(message);
                returned.iter_mut().flat_map(|outputs| outputs.absent.values_mut()).for_each(reword);
            }
            Self::AttemptEnded { error: told, restart, outputs, activities, .. } => {
                if let Some(kept) = activities {
                    kept.each_error(&error);
                }
                outputs.iter_mut().flat_map(|outputs| outputs.absent.values_mut()).for_each(reword);
                told.iter_mut().for_each(error);
                if let Some(Restart::Whole { why }) = restart {
                    reword(why);
                }
            }
            Self::StartIntended { .. }
            | Self::RunAttached { .. }
            | Self::StartResent { .. }
            | Self::RunStarted { .. }
            | Self::RunChanged { .. }
            | Self::CancelIntended { .. }
            | Self::CancelAccepted { .. }
            | Self::RetryScheduled { .. }
            | Self::Resolved { .. }
            | Self::StepCancelRequested { .. }
            | Self::CancelRequested
            | Self::Detached
            | Self::Resumed { .. }
            | Self::PlanChanged { .. }
            | Self::DeadlineAtRisk { .. }
            | Self::DeadlineMissed { .. }
            | Self::GivenUp
            | Self::FlowEnded { .. } => {}
        }
    }
}
