//! `synflow cancel [FLOW]`: ends a flow, or one step of it, and waits until that is true.

use std::path::Path;

use crate::cli::args::Cancel;
use crate::cli::connect::{self, Connections};
use crate::cli::drive::{self, Next, Owned};
use crate::cli::ending::{self, Driven};
use crate::cli::failure::{Exit, Failure};
use crate::cli::find::find_step;
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{block_on, load, own, pace, report, secrets, show, signals};
use crate::driver::{Goal, Pace, now};
use crate::flow::{Capacities, Definitions, Event, Flow, FlowHeader, StepState};
use crate::journal::{Holding, Journal};
use crate::plan::StepId;
use crate::report::{Expected, one_line};
use crate::time::Delay;

/// How long to wait before looking again what the owner of the flow has done.
const LOOK_AGAIN: Delay = Delay::from_ms(200);

/// How long the owner of an emulated flow, which holds no lock, may take to answer before it counts as gone.
const PATIENCE: Delay = Delay::from_secs(30);

/// Ends the flow, tells how that went, and returns the exit code: 0 once nothing of it runs any more.
///
/// Fails with exit 2 if the name fits no flow or several unfinished ones, 9 if a step stays unknown, 10 or 11 if the
/// workspace cannot be used and 12 if the journal cannot.
pub(super) fn run(args: &Cancel, settings: &Settings) -> Result<u8, Failure> {
    ending::tell(carry_out(args, settings), &args.driving, settings)
}

fn carry_out(args: &Cancel, settings: &Settings) -> Result<Driven, Failure> {
    let pace = pace::read(&args.driving, false)?;
    let mut journal = load::journal(settings)?;
    let header = match &args.flow {
        Some(name) => journal.find(Some(name))?,
        None => the_unfinished_one(&mut journal)?,
    };
    if args.flow.is_none() {
        tell(&format!("flow {} of {}", header.id, one_line(&header.plan_name)));
    }
    report::check(args.driving.report.as_deref(), &[Path::new(&header.plan_file)])?;
    let flow = load::flow(&mut journal, &header.id)?;
    let step = args.step.as_deref().map(|name| find_step(&flow, name)).transpose()?;
    let step = step.map(|step| flow.step(step).id.clone());
    if let Some(done) = already(&flow, step.as_ref())? {
        tell(&done);
        return Ok(Driven::new(Exit::Done.code(), flow));
    }
    let cancel = Cancelling { args, settings, pace, header, step };
    block_on(cancel.carry_out(journal, flow))
}

/// Returns the only real flow that has not ended. One that has settled and not been recorded as ended is about to be.
fn the_unfinished_one(journal: &mut Journal) -> Result<FlowHeader, Failure> {
    let mut open = Vec::new();
    for header in journal.all_unfinished()? {
        if !load::flow(journal, &header.id)?.is_settled() {
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
fn already(flow: &Flow, step: Option<&StepId>) -> Result<Option<String>, Failure> {
    let id = &flow.header().id;
    let Some(step) = step else {
        return Ok(match flow.exit_code() {
            Some(_) => Some(format!("flow {id} has ended: {}; nothing was cancelled", flow.outcome().word())),
            None if flow.is_given_up() => Some(format!("flow {id} was given up; nothing was cancelled")),
            None => None,
        });
    };
    let Some(step) = flow.index(step) else {
        return Ok(Some(format!("flow {id} goes on by a plan that has no step {step} any more")));
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
    /// By its id: an edited plan may move it.
    step: Option<StepId>,
}

impl Cancelling<'_> {
    /// Asks the flow's owner, as often as one takes it up; where there is none, or it dies, does the work itself.
    async fn carry_out(self, mut journal: Journal, mut flow: Flow) -> Result<Driven, Failure> {
        let (key, id) = (self.header.key(), self.header.id.clone());
        let shown = show::Shown::of(&self.args.driving.showing, self.settings, self.header.emulated)?;
        let shown = shown.report(Expected::default());
        let mut report = drive::reports(&self.args.driving, &flow, shown, self.settings);
        let left = signals::asked_to_leave();
        tokio::pin!(left);
        let mut asked = None;
        let begun = now();
        loop {
            let mut whom = "the process that emulates its workspace".to_owned();
            if !self.header.emulated {
                match journal.hold(&key, &id, &own::holder(), now())? {
                    Holding::Ours => {
                        // What it has drawn is not to stand above what is drawn from now on.
                        drop(report);
                        return self.by_ourselves(journal).await;
                    }
                    Holding::Elsewhere(lease) => {
                        whom = lease.as_ref().map_or_else(|| "its owner".to_owned(), own::owner);
                    }
                }
            }
            for recorded in journal.events_after(&id, flow.last_seq())? {
                flow.apply(&recorded).map_err(|error| Failure::from_error(Exit::Journal, &error))?;
                report.on(&recorded, &flow);
            }
            if self.is_over(&flow) {
                if let Some(request) = asked {
                    journal.dismiss(request)?;
                }
                report.finish(now(), &flow);
                return Ok(Driven::new(self.code(&flow), flow));
            }
            match asked {
                None => {
                    asked = Some(journal.ask(&id, now(), &self.wish())?);
                    report.note(now(), &format!("asked {whom}"));
                }
                // A resume has taken it back, or an owner died over it.
                Some(request) if journal.answer_to(request)?.is_some() && !self.is_wanted(&flow) => {
                    asked = None;
                }
                Some(request) if self.header.emulated && now() > begun + PATIENCE => {
                    if journal.answer_to(request)?.is_none() {
                        journal.dismiss(request)?;
                        return Err(own::emulated(&id, "cancelled: nobody drives it any more"));
                    }
                }
                Some(_) => {}
            }
            report.tick(now(), &flow);
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN.to_std()) => {}
                () = &mut left => {
                    let said = Failure::new(Exit::Interrupted, format!("no longer waiting for the end of flow `{id}`"));
                    return Err(said.because("its owner has been asked and ends it all the same"));
                }
            }
        }
    }

    /// Cancels as the flow's owner.
    async fn by_ourselves(self, mut journal: Journal) -> Result<Driven, Failure> {
        let mut flow = own::bring_back(&mut journal, &self.header.id)?;
        if let Some(done) = already(&flow, self.step.as_ref())? {
            tell(&done);
            return Ok(Driven::new(Exit::Done.code(), flow));
        }
        let mut connections = Connections::prepare(self.settings, &self.args.driving.sign_in)?;
        // One that is down must not keep the runs of another alive.
        let has_live = |workspace: usize| flow.live().any(|step| flow.step(step).workspace == workspace);
        connect::preflight_of(flow.plan(), &mut connections, has_live).await?;
        let clients = connections.clients(flow.plan(), connect::driving(self.pace.limits.seed))?;
        let mut opening = vec![
            Event::Resumed {
                redo: Vec::new(),
                trust: drive::trust(&mut journal)?,
                definitions: Definitions::new(),
            },
            self.wish(),
        ];
        let goal = match self.step.as_ref().and_then(|step| flow.index(step)) {
            Some(step) => {
                if flow.is_cancelling() {
                    // The resume takes that back, and nobody wants it back.
                    opening.insert(1, Event::CancelRequested);
                }
                // Ends this step and lets everything else be: nothing is started for it.
                flow.close_places();
                Goal::StepOver(step)
            }
            None => Goal::End,
        };
        let next = Next::Cancel;
        // Sends none; but what a service says of a run may hold one that was sent.
        let secrets = {
            let (file, seed) = (&flow.header().plan_file, self.pace.limits.seed);
            secrets::prepare(&mut connections, file, seed)?
        };
        let (http, pace) = (connections.http().clone(), self.pace);
        // Nothing starts any more.
        let capacities = Capacities::new();
        let owned = Owned { flow, capacities, journal, clients, http, secrets, pace, opening, goal, next };
        let driven = drive::drive(owned, &self.args.driving, self.settings).await?;
        let code = self.code(&driven.flow);
        Ok(Driven { code, ..driven })
    }

    /// Returns what the owner of the flow is asked to record.
    fn wish(&self) -> Event {
        match &self.step {
            Some(step) => Event::StepCancelRequested { step: step.clone() },
            None => Event::CancelRequested,
        }
    }

    /// Says whether the flow knows of the wish.
    fn is_wanted(&self, flow: &Flow) -> bool {
        match &self.step {
            Some(step) => flow.index(step).is_some_and(|step| flow.run(step).is_end_asked()),
            None => flow.is_cancelling(),
        }
    }

    /// Says whether there is nothing left to end, or nothing that could be.
    fn is_over(&self, flow: &Flow) -> bool {
        match &self.step {
            Some(step) => flow.index(step).is_none_or(|step| flow.run(step).outcome().is_some()),
            None => flow.exit_code().is_some() || flow.waits_for_a_person() || flow.is_given_up(),
        }
    }

    /// Returns 0 if what was to end has ended; else this process was asked to leave, or a person must look.
    fn code(&self, flow: &Flow) -> u8 {
        let is_unknown = match &self.step {
            Some(step) => flow.index(step).is_some_and(|step| flow.run(step).state == StepState::Unknown),
            None => flow.waits_for_a_person(),
        };
        match (is_unknown, self.is_over(flow)) {
            (true, _) => Exit::Unknown.code(),
            (_, true) => Exit::Done.code(),
            _ => Exit::Detached.code(),
        }
    }
}
