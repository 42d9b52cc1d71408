//! `synflow cancel [FLOW]`: ends a flow, or one step of it, and waits until that is true.

use crate::cli::args::Cancel;
use crate::cli::connect::{self, Connections};
use crate::cli::drive::{self, Owned};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{earlier, load, own, pace, runtime};
use crate::driver::{Goal, Pace, now};
use crate::flow::{Event, Flow, FlowHeader, StepState};
use crate::journal::{Holding, Journal};
use crate::plan::{StepId, StepIndex, nearest};
use crate::report::one_line;
use crate::time::Delay;

/// How long to wait before looking again what the owner of the flow has done.
const LOOK_AGAIN: Delay = Delay::from_ms(200);

/// How long the owner of an emulated flow, which holds no lock, may take to answer before it counts as gone.
const PATIENCE: Delay = Delay::from_secs(30);

/// Ends the flow and returns the exit code: 0 once nothing of it runs any more.
///
/// Fails with exit 2 if the name fits no flow or several unfinished ones, 9 if a step stays unknown, 10 or 11 if the
/// workspace cannot be used and 12 if the journal cannot.
pub(super) fn run(args: &Cancel, settings: &Settings) -> Result<u8, Failure> {
    let pace = pace::read(&args.driving, false)?;
    let mut journal = load::journal(settings)?;
    let header = match &args.flow {
        Some(name) => journal.find(Some(name))?,
        None => the_unfinished_one(&mut journal)?,
    };
    if args.flow.is_none() {
        tell(&format!("flow {} of {}", header.id, one_line(&header.plan_name)));
    }
    let flow = load::flow(&mut journal, &header)?;
    let step = args.step.as_deref().map(|name| find_step(&flow, name)).transpose()?;
    if let Some(done) = already(&flow, step)? {
        tell(&done);
        return Ok(Exit::Done.code());
    }
    let cancel = Cancelling { args, settings, pace, header, step };
    runtime()?.block_on(cancel.carry_out(journal, flow))
}

/// Finds a step by its id.
///
/// Fails with exit 2 and the nearest id if the plan has none.
pub(super) fn find_step(flow: &Flow, name: &str) -> Result<StepIndex, Failure> {
    flow.index(&StepId::new(name)).ok_or_else(|| {
        let ids = flow.plan().steps.iter().map(|step| step.id.as_str());
        let near = nearest(name, ids).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::new(
            Exit::Usage,
            format!("flow `{}` has no step `{}`{near}", flow.header().id, one_line(name)),
        )
        .hint(format!("`synflow status {}` lists the steps", flow.header().id))
    })
}

/// Returns the only real flow that has not ended.
fn the_unfinished_one(journal: &mut Journal) -> Result<FlowHeader, Failure> {
    let mut open = Vec::new();
    for header in journal.all_unfinished()? {
        let flow = load::flow(journal, &header)?;
        if !earlier::end_if_settled(journal, &flow)? {
            open.push(header);
        }
    }
    match open.len() {
        0 => Err(Failure::new(Exit::Usage, "no flow is unfinished").hint("`synflow flows` lists them all")),
        1 => Ok(open.remove(0)),
        _ => {
            let several = Failure::new(Exit::Usage, "several flows are unfinished; name the one to cancel");
            Err(open.iter().fold(several, |failure, header| {
                failure.hint(format!(
                    "synflow cancel {}   ({}, begun {})",
                    header.id,
                    one_line(&header.plan_name),
                    header.created_at
                ))
            }))
        }
    }
}

/// Says what has ended already; nothing if there is something to end.
///
/// Fails with exit 9 if the step is unknown: only a person can tell what there is to end.
fn already(flow: &Flow, step: Option<StepIndex>) -> Result<Option<String>, Failure> {
    let id = &flow.header().id;
    let Some(step) = step else {
        return Ok(match flow.exit_code() {
            Some(_) => Some(format!("flow {id} has ended: {}; nothing was cancelled", flow.outcome().word())),
            None if flow.is_given_up() => Some(format!("flow {id} was given up; nothing was cancelled")),
            None => None,
        });
    };
    let name = one_line(flow.step(step).id.as_str());
    match &flow.run(step).state {
        StepState::Ended { outcome } => {
            Ok(Some(format!("step {name} of flow {id} has ended: {outcome}; nothing was cancelled")))
        }
        StepState::Unknown => {
            Err(Failure::new(Exit::Unknown, format!("nobody knows what step `{name}` runs"))
                .hint(format!("synflow resolve {id} {name} --run RUN | --not-started | --give-up")))
        }
        _ => Ok(None),
    }
}

/// A cancel under way.
struct Cancelling<'a> {
    args: &'a Cancel,
    settings: &'a Settings,
    pace: Pace,
    header: FlowHeader,
    step: Option<StepIndex>,
}

impl Cancelling<'_> {
    /// Asks the flow's owner; where there is none, or it dies, does the work itself.
    async fn carry_out(self, mut journal: Journal, mut flow: Flow) -> Result<u8, Failure> {
        let wish = match self.step {
            Some(step) => Event::StepCancelRequested { step: flow.step(step).id.clone() },
            None => Event::CancelRequested,
        };
        let (key, id) = (self.header.key(), self.header.id.clone());
        let mut asked = None;
        let mut report = drive::report(self.args.driving.progress, self.settings);
        let begun = now();
        loop {
            if !self.header.emulated && journal.hold(&key, &id, &own::holder(), now())? == Holding::Ours {
                return self.by_ourselves(journal, wish).await;
            }
            let request = match asked {
                Some(request) => request,
                None => *asked.insert(journal.ask(&id, now(), &wish)?),
            };
            for recorded in journal.events_after(&id, flow.last_seq())? {
                flow.apply(&recorded).map_err(|error| Failure::from_error(Exit::Journal, &error))?;
                report.on(&recorded, &flow);
            }
            let is_over = match self.step {
                Some(step) => flow.run(step).outcome().is_some(),
                None => flow.exit_code().is_some() || flow.waits_for_a_person(),
            };
            if is_over && journal.is_answered(request)? {
                report.finish(now(), &flow);
                return Ok(self.code(&flow));
            }
            if self.header.emulated && now() > begun + PATIENCE && !journal.is_answered(request)? {
                journal.dismiss(request)?;
                return Err(Failure::new(Exit::Usage, format!("nobody drives flow `{id}` any more"))
                    .because("its runs ended with the workspace that was emulated inside its process"));
            }
            report.tick(now(), &flow);
            tokio::time::sleep(LOOK_AGAIN.to_std()).await;
        }
    }

    /// Cancels as the flow's owner.
    async fn by_ourselves(self, mut journal: Journal, wish: Event) -> Result<u8, Failure> {
        let mut flow = own::bring_back(&mut journal, &self.header)?;
        if let Some(done) = already(&flow, self.step)? {
            tell(&done);
            return Ok(Exit::Done.code());
        }
        let mut connections = Connections::prepare(self.settings, &self.args.driving.sign_in)?;
        connect::preflight(flow.plan(), &mut connections).await?;
        let clients = connections.clients(flow.plan(), connect::driving(self.pace.limits.seed))?;
        let resumed = Event::Resumed { redo: Vec::new(), trust: drive::trust(&mut journal)? };
        let goal = match self.step {
            Some(step) => {
                // Ends this step and lets everything else be: nothing is started for it.
                flow.close_places();
                Goal::StepOver(step)
            }
            None => Goal::End,
        };
        let owned = Owned { flow, journal, clients, pace: self.pace, opening: vec![resumed, wish], goal };
        let driven = drive::drive(owned, &self.args.driving, self.settings).await?;
        Ok(self.code(&driven.flow))
    }

    /// Returns 0 if what was to end has ended; else this process was asked to leave, or a person must look.
    fn code(&self, flow: &Flow) -> u8 {
        let (is_over, is_unknown) = match self.step {
            Some(step) => (flow.run(step).is_over(), flow.run(step).state == StepState::Unknown),
            None => (flow.exit_code().is_some(), flow.waits_for_a_person()),
        };
        match (is_over, is_unknown) {
            (true, _) => Exit::Done.code(),
            (_, true) => Exit::Unknown.code(),
            _ => Exit::Detached.code(),
        }
    }
}
