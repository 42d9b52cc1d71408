//! `synflow apply PLAN`: checks the plan, makes a flow of it and runs it to its end.

use sha2::{Digest, Sha256};

use crate::cli::args::{Apply, Progress};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::LoadedPlan;
use crate::cli::settings::Settings;
use crate::cli::{asked_to_leave, connect, dry_run, emulate, load, runtime};
use crate::driver::{DriveError, Driver, Ending, now};
use crate::flow::policy::{self, Limits};
use crate::flow::{Flow, FlowHeader, FlowId};
use crate::journal::Journal;
use crate::plan;
use crate::report::{Bars, Lines, Report};
use crate::synapse::SynapseClient;
use crate::time::Delay;

/// The beat against a workspace in this process, whose runs take seconds.
const EMULATED_BEAT: Delay = Delay::from_ms(250);

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
    let mut journal = Journal::open(&settings.state_dir)?;
    if !args.emulate && !args.new {
        refuse_beside_unfinished(&mut journal, &loaded)?;
    }
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
    // Lives until the flow is over: dropping it ends the service.
    let emulated = if args.emulate {
        let emulated =
            emulate::Emulated::start(&loaded.plan, args.script.as_deref(), &args.artifacts).await?;
        emulated.move_in(&mut loaded);
        Some(emulated)
    } else {
        None
    };
    let credentials = emulated.as_ref().map_or_else(|| settings.clone(), |it| it.sign_in(settings));
    let clients = connect::clients(&loaded.plan, &credentials)?;
    connect::preflight(&loaded.plan, &clients).await?;
    let header = header(args, &loaded, max_parallel, limits.seed, &mut journal)?;
    journal.create(&header)?;
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
        beat: duration(args.beat.as_deref(), "--beat", beat)?.max(Delay::from_ms(10)),
        start_grace: duration(args.start_grace.as_deref(), "--start-grace", policy::START_GRACE)?,
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    })
}

fn duration(text: Option<&str>, flag: &str, default: Delay) -> Result<Delay, Failure> {
    let Some(text) = text else { return Ok(default) };
    plan::read_duration(text)
        .map_err(|why| Failure::new(Exit::Usage, format!("`{flag}` cannot be `{text}`")).because(why))
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
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        created_at: now(),
        emulated: args.emulate,
        max_parallel,
        seed,
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

/// Refuses to run beside an earlier flow of the same plan whose end nobody has recorded: its runs may be live.
fn refuse_beside_unfinished(journal: &mut Journal, loaded: &LoadedPlan) -> Result<(), Failure> {
    let earlier = journal.flows()?;
    let mut earlier = earlier.into_iter().filter(|flow| flow.plan_name == loaded.plan.name && !flow.emulated);
    let Some(header) = earlier.next() else { return Ok(()) };
    let (id, created_at) = (&header.id, header.created_at);
    let flow = load::flow(journal, &header)?;
    if flow.exit_code().is_some() {
        return Ok(());
    }
    let message = format!("flow `{id}` of this plan, begun {created_at}, has not ended; nothing was started");
    Err(Failure::new(Exit::Locked, message)
        .hint(format!("`synflow status {id}` shows its runs"))
        .hint("`--new` starts all the same, beside whatever still runs"))
}
