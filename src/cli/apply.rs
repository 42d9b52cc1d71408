//! `synflow apply PLAN`: checks the plan, makes a flow of it and runs it to its end.

use sha2::{Digest, Sha256};

use crate::cli::args::{Apply, Progress};
use crate::cli::connect::Connections;
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::LoadedPlan;
use crate::cli::settings::Settings;
use crate::cli::{asked_to_leave, connect, dry_run, emulate, load, runtime};
use crate::driver::{DriveError, Driver, Ending, now};
use crate::flow::policy::{self, Limits};
use crate::flow::{Event, Flow, FlowHeader, FlowId, FlowKey};
use crate::journal::Journal;
use crate::plan::{self, Plan};
use crate::report::{Bars, Lines, Report};
use crate::synapse::SynapseClient;
use crate::time::Delay;

/// The beat against a workspace in this process, whose runs take seconds.
const EMULATED_BEAT: Delay = Delay::from_ms(250);

/// The shortest beat: against an emulator at speed.
const BEAT_MIN: Delay = Delay::from_ms(10);

/// The longest beat: above it a flow seems to stand still.
const BEAT_MAX: Delay = Delay::from_secs(600);

/// The shortest grace for an unclear start.
const GRACE_MIN: Delay = Delay::from_ms(10);

/// The longest grace for an unclear start.
const GRACE_MAX: Delay = Delay::from_secs(3600);

/// Runs the plan and returns the flow's exit code.
///
/// Fails, with nothing started, if the plan is invalid (3), an earlier flow of it has not ended (6), we are not let
/// in (10), nobody answers (11) or the journal cannot be used (12).
pub(super) fn run(args: &Apply, settings: &Settings) -> Result<u8, Failure> {
    let loaded = load::plan(&args.plan, &args.inputs.inputs, true, settings, &mut anstream::stderr())?;
    let limits = limits(args)?;
    let max_parallel = args.max_parallel.map_or(loaded.plan.max_parallel, |places| places as usize);
    if args.dry_run {
        return dry_run::show(&loaded, max_parallel).map(|()| Exit::Done.code());
    }
    let journal = Journal::open(&settings.state_dir)?;
    runtime()?.block_on(start(args, settings, loaded, max_parallel, limits, journal))
}

async fn start(
    args: &Apply,
    settings: &Settings,
    mut loaded: LoadedPlan,
    max_parallel: usize,
    limits: Limits,
    mut journal: Journal,
) -> Result<u8, Failure> {
    if !args.emulate {
        clear_the_way(args, settings, &loaded.plan, &mut journal).await?;
    }
    // Lives until the flow is over: dropping it ends the service.
    let emulated = if args.emulate {
        let emulated =
            emulate::Emulated::start(&loaded.plan, args.script.as_deref(), &args.artifacts).await?;
        emulated.move_in(&mut loaded);
        Some(emulated)
    } else {
        None
    };
    let (surroundings, sign_in) = match &emulated {
        Some(emulated) => emulated.sign_in(settings),
        None => (settings.clone(), args.sign_in.clone()),
    };
    let mut connections = Connections::prepare(&surroundings, &sign_in)?;
    connect::preflight(&loaded.plan, &mut connections).await?;
    let clients = connections.clients(&loaded.plan, connect::driving(limits.seed))?;
    let header = header(args, &loaded, max_parallel, limits.seed, &mut journal)?;
    if let Some(earlier) = journal.create(&header)? {
        return Err(in_the_way(&earlier));
    }
    let flow = Flow::new(header, loaded.plan, loaded.graph);
    drive(flow, limits, journal, clients, args.progress, settings).await
}

/// Runs the flow and says how to go on from its end.
async fn drive(
    flow: Flow,
    limits: Limits,
    journal: Journal,
    clients: Vec<SynapseClient>,
    progress: Progress,
    settings: &Settings,
) -> Result<u8, Failure> {
    let id = flow.header().id.clone();
    let report = report(progress, settings);
    let mut driver = Driver::new(flow, limits, journal, clients, report);
    match driver.drive(asked_to_leave()).await {
        Ok(Ending::Settled) => Ok(driver.flow().exit_code().unwrap_or(Exit::Bug.code())),
        Ok(Ending::WaitsForAPerson) => Ok(Exit::Unknown.code()),
        // The runs of an emulated workspace end with it.
        Ok(Ending::Detached) if driver.flow().header().emulated => Ok(Exit::Interrupted.code()),
        Ok(Ending::Detached) => Ok(Exit::Detached.code()),
        Err(DriveError::Journal { source, unrecorded }) => {
            let mut failure = Failure::from(*source);
            for (step, run) in unrecorded {
                failure = failure
                    .because(format!("run {run} of step `{step}` was started and is not in the journal"));
            }
            Err(failure
                .hint(format!("`synflow status {id}` lists the runs that the journal knows; they go on")))
        }
        Err(bug) => Err(Failure::from_error(Exit::Bug, &bug)
            .hint(format!("the runs go on; `synflow status {id}` lists them"))
            .hint("please report this with the output of `synflow status --output json`")),
    }
}

/// Chooses how the flow is shown.
fn report(progress: Progress, settings: &Settings) -> Box<dyn Report> {
    let bars = match progress {
        Progress::Auto => settings.terminal,
        Progress::Bar => true,
        Progress::Lines => false,
    };
    if bars { Box::new(Bars::on_stderr(settings.colour)) } else { Box::new(Lines::new(anstream::stderr())) }
}

fn limits(args: &Apply) -> Result<Limits, Failure> {
    let beat = if args.emulate { EMULATED_BEAT } else { policy::BEAT };
    Ok(Limits {
        beat: duration(args.beat.as_deref(), "--beat", beat, BEAT_MIN, BEAT_MAX)?,
        start_grace: duration(
            args.start_grace.as_deref(),
            "--start-grace",
            policy::START_GRACE,
            GRACE_MIN,
            GRACE_MAX,
        )?,
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    })
}

/// Reads a setting that is a duration and lies within bounds.
fn duration(
    text: Option<&str>,
    flag: &str,
    default: Delay,
    min: Delay,
    max: Delay,
) -> Result<Delay, Failure> {
    let Some(text) = text else { return Ok(default) };
    let usage = |why: String| {
        Failure::new(Exit::Usage, format!("`{flag}` cannot be `{text}`"))
            .because(why)
            .hint(format!("write a duration such as `{}`", spelt(default)))
    };
    let duration = plan::read_duration(text).map_err(usage)?;
    if (min..=max).contains(&duration) {
        Ok(duration)
    } else {
        Err(usage(format!("it must lie between `{}` and `{}`", spelt(min), spelt(max))))
    }
}

/// Writes a duration as a setting would spell it.
fn spelt(duration: Delay) -> String {
    match duration.as_ms() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// Makes the header of a new flow, with an id the journal does not hold.
fn header(
    args: &Apply,
    loaded: &LoadedPlan,
    max_parallel: usize,
    seed: u64,
    journal: &mut Journal,
) -> Result<FlowHeader, Failure> {
    let plan = &loaded.plan;
    Ok(FlowHeader {
        id: new_id(journal)?,
        plan_name: plan.name.clone(),
        plan_file: args.plan.display().to_string(),
        plan_text: loaded.text.clone(),
        plan_sha256: hex(&Sha256::digest(loaded.text.as_bytes())),
        environment: String::new(),
        run_key: String::new(),
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        created_at: now(),
        emulated: args.emulate,
        max_parallel,
        seed,
        trust: std::collections::BTreeMap::new(),
    })
}

/// Chooses six digits, or more where six are taken.
fn new_id(journal: &mut Journal) -> Result<FlowId, Failure> {
    let digits = uuid::Uuid::new_v4().simple().to_string();
    for length in 6..digits.len() {
        let id = FlowId(digits[..length].to_owned());
        if !journal.has(&id)? {
            return Ok(id);
        }
    }
    Ok(FlowId(digits))
}

fn hex(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
    bytes.iter().flat_map(digits).collect()
}

/// Sees to it that no earlier flow of the plan is left open: its runs may be live.
///
/// Fails with exit 6 if there is one, unless `--new` gives it up; and that only if none of its runs is live.
async fn clear_the_way(
    args: &Apply,
    settings: &Settings,
    plan: &Plan,
    journal: &mut Journal,
) -> Result<(), Failure> {
    let key = FlowKey { plan: plan.name.clone(), environment: String::new(), run_key: String::new() };
    for header in journal.unfinished(&key)? {
        let flow = load::flow(journal, &header)?;
        let end = if flow.is_settled() {
            // It was killed between its last step's end and its own.
            Event::FlowEnded { exit_code: flow.outcome().exit_code() }
        } else if args.new {
            refuse_if_live(args, &flow, settings).await?;
            Event::GivenUp
        } else {
            return Err(in_the_way(&header));
        };
        journal.append(&header.id, flow.last_seq() + 1, now(), &[end])?;
    }
    Ok(())
}

/// Asks for every run of a flow that had not ended when its events were recorded.
async fn refuse_if_live(args: &Apply, flow: &Flow, settings: &Settings) -> Result<(), Failure> {
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    // A single look: what cannot be seen now is refused, not waited for.
    let clients = connections.clients(flow.plan(), connect::driving(flow.header().seed))?;
    let mut live = Vec::new();
    for step in flow.live() {
        let (place, step_run) = (flow.step(step), flow.run(step));
        let Some(attempt) = step_run.last_attempt() else { continue };
        let found = clients[place.workspace].run(attempt.run).await.map_err(|failure| {
            let exit = if failure.is_sign_in_or_permission() { Exit::Denied } else { Exit::Unreachable };
            Failure::new(exit, format!("cannot see whether run {} of `{}` is live", attempt.run, place.id))
                .because(failure.to_string())
        })?;
        let may_land = now() < attempt.intended_at + policy::START_GRACE;
        match found {
            Some(run) if !run.status.is_terminal() => {
                live.push(format!("run {} of step `{}` is {}", attempt.run, place.id, run.status));
            }
            None if attempt.started_at.is_none() && may_land => {
                live.push(format!("nobody knows yet whether step `{}` was started", place.id));
            }
            _ => {}
        }
    }
    if live.is_empty() {
        return Ok(());
    }
    let id = &flow.header().id;
    let message = format!("flow `{id}` cannot be given up: its runs are live; nothing was started");
    let failure = live.into_iter().fold(Failure::new(Exit::Locked, message), Failure::because);
    Err(failure.hint("wait for them to end, or cancel them in Synapse Studio, then try again"))
}

fn in_the_way(earlier: &FlowHeader) -> Failure {
    let (id, created_at) = (&earlier.id, earlier.created_at);
    let message = format!("flow `{id}` of this plan, begun {created_at}, has not ended; nothing was started");
    Failure::new(Exit::Locked, message)
        .hint(format!("`synflow status {id}` shows its runs"))
        .hint("once none of them is live, `--new` gives it up and begins another")
}
