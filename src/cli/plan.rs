//! `synflow plan PLAN`, and `apply PLAN --dry-run`: what would happen and why, after a look at the live workspace. Starts
//! nothing.

use std::io::Write;

use crate::cli::args::{Apply, Outlook as Form, Output, PlanVerb, Stream};
use crate::cli::artifacts::Artifacts;
use crate::cli::connect::{self, Connections};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, LoadedPlan};
use crate::cli::settings::Settings;
use crate::cli::{
    block_on, ci, contract, doctor, earlier, expected, outlet, put, put_value, rehearse, saved,
};
use crate::definition::{self, Catalogue};
use crate::diff;
use crate::driver::now;
use crate::flow::{Flow, forecast};
use crate::journal::Journal;
use crate::plan::{self, Diagnostic, Plan};
use crate::rehearse::account::Account;
use crate::report::checkup::{self, Group};
use crate::report::one_line;
use crate::report::outlook::{Course, Forecast, Outlook};
use crate::synapse::CallFailure;
use crate::time::Timestamp;

/// Does what `plan` does for the words of an `apply`. Of an emulated workspace there is nothing to see beforehand but the
/// definitions that it would be given.
///
/// Fails as [`run`] does, and with exit 2 if events are asked for.
pub(super) fn dry_run(args: &Apply, settings: &Settings) -> Result<u8, Failure> {
    let output = match args.driving.output {
        Stream::Text => Form::Text,
        Stream::Json => Form::Json,
        Stream::Yaml | Stream::Jsonl => {
            return Err(Failure::new(Exit::Usage, "`--dry-run` prints text or JSON: nothing happens")
                .hint("leave `--output` out, or write `--output json`"));
        }
    };
    let plan = PlanVerb {
        plan: args.plan.clone(),
        chosen: args.chosen.clone(),
        steps: args.steps.clone(),
        max_parallel: args.max_parallel,
        offline: args.emulate,
        artifacts: args.artifacts.iter().map(|folder| folder.display().to_string()).collect(),
        out: None,
        output,
        sign_in: args.driving.sign_in.clone(),
    };
    run(&plan, settings)
}

/// Prints what would happen, saves the plan if that is asked for, and returns the exit code that `apply` would run into.
///
/// Fails with exit 3 if the plan is invalid, with 5 if it is a saved one that is stale, and with 12 if the journal cannot be
/// read. Fails with exit 2 if the plan cannot be saved into the file named.
pub(super) fn run(args: &PlanVerb, settings: &Settings) -> Result<u8, Failure> {
    args.out.as_deref().map(saved::expect_room).transpose()?;
    let mut loaded = load::plan(&args.plan, &args.chosen, true, settings, &mut outlet::stderr())?;
    if let Some(saved) = loaded.saved.as_ref().filter(|_| args.out.is_some()) {
        return Err(saved.settled("-o"));
    }
    loaded.narrow(&args.steps.selection())?;
    let max_parallel = loaded.places(args.max_parallel)?;
    let now = now();
    let history = History::read(&loaded, max_parallel, now, settings)?;
    let artifacts = Artifacts::read(&args.artifacts)?;
    let seen = if args.offline { Seen::default() } else { block_on(look(args, &loaded, settings))? };
    let Seen { groups, live, catalogues } = seen;
    let findings = if artifacts.is_empty() {
        definition::check(&loaded.plan, |workspace| catalogues.get(workspace)?.as_ref())
    } else {
        artifacts.check(&loaded.plan)
    };
    let file = loaded.shown(&args.plan);
    let told = plan::render(&findings, &file, loaded.text.as_bytes(), settings.colour);
    // A closed stderr must not stop the plan.
    drop(outlet::stderr().write_all(told.as_bytes()));
    ci::show_errors(&file, loaded.text.as_bytes(), &findings, settings);
    let exit_code = match checkup::exit_code(&groups, Exit::Contract.code()) {
        0 if findings.iter().any(Diagnostic::is_error) => Exit::Contract.code(),
        code => code,
    };
    let findings = findings.iter().map(|finding| brief(&file, finding)).collect();
    let other = match &loaded.saved {
        Some(saved) => saved.differences(settings)? + &saved.moved(&loaded.plan, &catalogues),
        None => String::new(),
    };
    let exit_code = if other.is_empty() { exit_code } else { Exit::Stale.code() };
    let (plan, graph) = (&*loaded.plan, &*loaded.graph);
    let History { forecast, mut earlier, flow } = history;
    if let Some((flow, (_, differences))) = flow.zip(earlier.as_mut()) {
        let (was, is) = (&flow.header().definitions, contract::versions(plan, &catalogues));
        differences.extend(diff::definitions((flow.plan(), was), (plan, &is)));
    }
    let forecast = Some(forecast);
    let outlook = Outlook { plan, graph, max_parallel, now, forecast, earlier, live, groups, findings };
    match args.output {
        Form::Json => put_value(&outlook.value(exit_code), Output::Json, String::new)?,
        Form::Markdown => put(&outlook.markdown())?,
        Form::Text => {
            let checks: Vec<String> = outlook.groups.iter().map(Group::text).collect();
            let checks = if checks.is_empty() { String::new() } else { format!("\n{}", checks.join("\n")) };
            put(&format!("{}{checks}\nnothing was started\n", outlook.text()))?;
        }
    }
    loaded.saved.as_ref().map(|saved| saved.tell(&other)).transpose()?;
    let Some(file) = &args.out else { return Ok(exit_code) };
    match saved::save(file, args, &loaded, &catalogues, exit_code == Exit::Done.code()) {
        Ok(()) => Ok(exit_code),
        Err(failure) => {
            // A closed stderr must not change the exit code.
            drop(failure.print(&mut outlet::stderr()));
            Ok(if exit_code == Exit::Done.code() { failure.exit.code() } else { exit_code })
        }
    }
}

/// What the journal tells of the plan.
struct History {
    forecast: Forecast,
    earlier: Option<(String, Vec<diff::Difference>)>,
    /// The flow that the plan is compared with.
    flow: Option<Flow>,
}

impl History {
    fn read(
        loaded: &LoadedPlan,
        max_parallel: usize,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let nothing = Self { forecast: Forecast::default(), earlier: None, flow: None };
        let Some(mut journal) = Journal::open_existing(&settings.state_dir)? else { return Ok(nothing) };
        let plan = &loaded.plan;
        let history = expected::history(&mut journal, &plan.name, &plan.environment, false)?;
        let mut forecast = Forecast::default();
        for (index, step) in plan.runs() {
            let took = history.took.get(&(step.id.clone(), step.pipeline.clone()));
            let quantile = |percent| took.and_then(|took| forecast::quantile(took, percent));
            if let Some((usual, long)) = quantile(50).zip(quantile(90)) {
                forecast.steps.insert(index, (usual, long));
            }
        }
        if !forecast.steps.is_empty() {
            let rehearsal = rehearse::likely(loaded, &history, max_parallel, now)?;
            let account = Account::of(rehearsal.flow(), rehearsal.now());
            let (makespan, outcome) = (account.makespan(), rehearsal.outcome().0);
            forecast.course = Some(Course { makespan, critical_path: account.critical_path, outcome });
        }
        let newest = journal.newest_of_plan(&plan.name, &plan.environment, false, forecast::DURATIONS_MAX)?;
        // One for some of the steps says nothing of the others, and one that this version cannot read nothing at all.
        let whole = |flow: &Flow| flow.header().selection.is_whole();
        let flow = newest.iter().find_map(|id| load::flow(&mut journal, id).ok().filter(whole));
        let earlier = flow.as_ref().map(|flow| {
            let was = Plan { max_parallel: flow.header().max_parallel, ..flow.plan().clone() };
            let is = Plan { max_parallel, ..(**plan).clone() };
            (flow.header().id.to_string(), diff::plans(&was, &is))
        });
        Ok(Self { forecast, earlier, flow })
    }
}

/// Returns a finding in a line, as compilers write it.
fn brief(file: &str, finding: &Diagnostic) -> String {
    let place = finding.span.map(|span| format!(":{}:{}", span.place.line, span.place.column));
    format!("{file}{}: {}: {}", place.unwrap_or_default(), finding.code.id(), finding.message)
}

/// What the workspaces say.
#[derive(Default)]
struct Seen {
    groups: Vec<Group>,
    live: Option<Vec<String>>,
    /// The pipelines of each workspace; nothing where it does not show any.
    catalogues: Vec<Option<Catalogue>>,
}

/// Looks at sign-in, permissions and pipelines, and at the runs that are live.
async fn look(args: &PlanVerb, loaded: &LoadedPlan, settings: &Settings) -> Result<Seen, Failure> {
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let groups = doctor::look(&mut connections, Some((loaded, &args.plan)), &mut |_| Ok(())).await?;
    // Nobody who does not answer, or does not let us in, is asked for more.
    if ![0, Exit::Contract.code()].contains(&checkup::exit_code(&groups, Exit::Contract.code())) {
        return Ok(Seen { groups, ..Seen::default() });
    }
    let clients = connections.clients(&loaded.plan, connect::ASKING)?;
    // A closed stderr must not stop the plan.
    let note = |text: &str| drop(writeln!(outlet::stderr(), "note: {text}"));
    let unseen = |why: &CallFailure| {
        note(&format!("the live runs cannot be seen: {}", one_line(&why.to_string())));
    };
    let live = earlier::live_runs(&loaded.plan, &clients).await.inspect_err(unseen).ok();
    let is_saved = args.out.is_some() || loaded.saved.is_some();
    let mut catalogues = Vec::new();
    for (position, (client, workspace)) in clients.iter().zip(&loaded.plan.workspaces).enumerate() {
        let wanted = contract::wanted(&loaded.plan, position, |_| true);
        if wanted.is_empty() {
            catalogues.push(None);
            continue;
        }
        let catalogue = contract::deployed(client, workspace, &wanted, is_saved).await;
        let catalogue = catalogue.inspect_err(|why| note(&contract::untold(workspace, why))).ok();
        catalogues.push(catalogue.filter(|catalogue| !catalogue.definitions.is_empty()));
    }
    Ok(Seen { groups, live, catalogues })
}
