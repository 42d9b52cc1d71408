//! From a flow that this process owns to the exit code it ends with: what `apply`, `resume` and `cancel` share.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::cli::args::{Driving, Stream};
use crate::cli::ending::Driven;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::cli::{ci, expected, outlet, pace, show, signals, traces};
use crate::driver::{DriveError, Driver, Ending, Goal, Leaving, Pace};
use crate::flow::{Capacities, Event, Flow, FlowId, RunId, Trust};
use crate::hook::Post;
use crate::journal::{Journal, JournalError};
use crate::plan::StepId;
use crate::report::events::Events;
use crate::report::{Beside, Report, Several};
use crate::secret::Secrets;
use crate::synapse::{Http, SynapseClient};

/// A flow that this process may drive, with all that takes.
pub(super) struct Owned {
    pub(super) flow: Flow,
    /// What the service has room for.
    pub(super) capacities: Capacities,
    /// Holds the flow's key, unless it is emulated.
    pub(super) journal: Journal,
    /// One for each workspace of the plan.
    pub(super) clients: Vec<SynapseClient>,
    /// Sends to everybody else.
    pub(super) http: Http,
    pub(super) secrets: Secrets,
    pub(super) pace: Pace,
    /// What is recorded first.
    pub(super) opening: Vec<Event>,
    pub(super) goal: Goal,
    /// What a person types if this process leaves at once.
    pub(super) next: Next,
}

/// The command that a person types next, after this process has left the flow before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Goes on.
    Resume,
    /// Goes on ending it.
    Cancel,
}

impl Next {
    /// Returns the command for a flow.
    pub(super) fn command(self, flow: &FlowId) -> String {
        let verb = match self {
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        };
        format!("synflow {verb} {flow}")
    }
}

/// Drives a flow and returns the exit code with the flow as it is then.
///
/// What came of it holds a failure with exit 12 if the journal cannot be written, and with 6 if another process or a person
/// took the lease; runs that only memory knew are then named. With 130 if a second signal came.
pub(super) async fn drive(owned: Owned, args: &Driving, settings: &Settings) -> Result<Driven, Failure> {
    let Owned { mut flow, capacities, mut journal, clients, http, secrets, pace, opening, goal, next } =
        owned;
    flow.keep_to(capacities);
    let (id, is_emulated) = (flow.header().id.clone(), flow.header().emulated);
    let expected = expected::of(&mut journal, &flow)?;
    let shown = show::Shown::of(&args.showing, settings, is_emulated)?;
    let studios = show::find_studios(&flow, &clients, &shown);
    let durations = expected.durations().clone();
    let report = reports(args, &flow, shown.report(expected), settings);
    let leaving = Leaving::default();
    let mut report = traces::along(report, &flow, &mut journal, &http, &leaving, settings);
    report.compare(&Beside { usual: expected::usual(&mut journal, &flow)?, ..Beside::default() });
    let post = Post::new(http, pace::hook_limit(args)?);
    let mut driver = Driver::new(flow, pace, journal, clients, secrets, report)
        .with_durations(durations)
        .with_post(post)
        .with_leaving(leaving.clone());
    let (sender, mut wishes) = mpsc::unbounded_channel();
    let ended = tokio::select! {
        ended = driver.drive(&opening, goal, &mut wishes) => Some(ended),
        () = signals::obey(sender, &leaving, settings.is_at_terminal, is_emulated) => None,
        () = studios => unreachable!("it never ends"),
    };
    let flow = driver.flow().clone();
    let failed = |failure: Failure| {
        let (code, flow, leaving) = (failure.exit.code(), driver.flow().clone(), leaving.clone());
        Ok(Driven { code, flow, failure: Some(failure), leaving })
    };
    let Some(ended) = ended else { return failed(left_at_once(&id, is_emulated, next)) };
    let code = match ended {
        Ok(Ending::Settled) => match flow.exit_code() {
            Some(0) if args.strict && flow.has_warned() => Exit::Warned.code(),
            code => code.unwrap_or(Exit::Bug.code()),
        },
        Ok(Ending::WaitsForAPerson) => Exit::Unknown.code(),
        // The runs of an emulated workspace end with it.
        Ok(Ending::Detached) if is_emulated => Exit::Interrupted.code(),
        Ok(Ending::Detached) => Exit::Detached.code(),
        Err(DriveError::Journal { source, unrecorded }) => {
            return failed(without_journal(*source, &unrecorded, &id));
        }
        Err(bug) => {
            return failed(
                Failure::from_error(Exit::Bug, &bug)
                    .hint(format!("the runs go on; `synflow status {id}` lists them"))
                    .hint("please report this with the output of `synflow status --output json`"),
            );
        }
    };
    Ok(Driven { code, flow, failure: None, leaving: leaving.clone() })
}

/// Returns what the journal has learnt of the workspaces from real flows.
pub(super) fn trust(journal: &mut Journal) -> Result<BTreeMap<String, Trust>, JournalError> {
    let word = |is_proven: bool| if is_proven { Trust::Proven } else { Trust::Disproven };
    let learned = journal.learned()?.into_iter();
    Ok(learned.map(|(endpoint, (is_proven, _))| (endpoint, word(is_proven))).collect())
}

/// Chooses who is told of the flow: the program that reads stdout, the CI service, and whoever looks, by `shown`.
pub(super) fn reports(
    args: &Driving,
    flow: &Flow,
    shown: Box<dyn Report>,
    settings: &Settings,
) -> Box<dyn Report> {
    let mut all: Vec<Box<dyn Report>> = Vec::new();
    if args.output == Stream::Jsonl {
        all.push(Box::new(Events::new(outlet::Background, flow)));
    }
    // Before the lines that it folds.
    if let Some(log) = ci::log(settings) {
        all.push(Box::new(log));
    }
    all.push(shown);
    Box::new(Several(all))
}

/// Says what a second signal has cut short.
fn left_at_once(id: &FlowId, is_emulated: bool, next: Next) -> Failure {
    let failure = Failure::new(Exit::Interrupted, format!("left flow `{id}` at once"));
    if is_emulated {
        return failure.because("its runs end with the emulated workspace");
    }
    failure
        .because("its runs go on; a start that was under way is looked for when the flow is resumed")
        .hint(next.command(id))
}

fn without_journal(source: JournalError, unrecorded: &[(StepId, RunId)], id: &FlowId) -> Failure {
    let is_lost = source.is_lease_lost();
    let mut failure = Failure::from(source);
    if is_lost {
        failure.exit = Exit::Locked;
    }
    for (step, run) in unrecorded {
        failure =
            failure.because(format!("run {run} of step `{step}` was started and is not in the journal"));
    }
    failure.hint(format!("`synflow status {id}` lists the runs that the journal knows; they go on"))
}
