//! `synflow apply PLAN|FILE`: checks the plan, or that a saved one is not stale, makes a flow of it and runs it to its end.

use std::path::Path;

use crate::cli::args::Apply;
use crate::cli::connect::{self, Connections};
use crate::cli::contract::Claim;
use crate::cli::drive::{self, Next, Owned};
use crate::cli::ending::{self, Driven};
use crate::cli::failure::Failure;
use crate::cli::load::{self, LoadedPlan};
use crate::cli::resume::{self, Way, tell};
use crate::cli::settings::Settings;
use crate::cli::{block_on, commit, earlier, emulate, outlet, own, pace, plan, report, secrets};
use crate::driver::{Goal, Pace, now};
use crate::flow::{Capacities, Definitions, Flow, FlowHeader, FlowId};
use crate::journal::Journal;
use crate::secret::Secrets;

/// Runs the plan, tells how it ended, and returns the flow's exit code.
///
/// Fails, with nothing started, if the plan is invalid (3) or does not fit its pipelines (4), a saved one is stale (5), another process
/// runs it or an earlier flow of it has not ended (6), we are not let in (10), nobody answers (11) or the journal cannot be
/// used (12).
pub(super) fn run(args: &Apply, settings: &Settings) -> Result<u8, Failure> {
    if args.dry_run {
        return plan::dry_run(args, settings);
    }
    ending::tell(carry_out(args, settings), &args.driving, settings)
}

fn carry_out(args: &Apply, settings: &Settings) -> Result<Driven, Failure> {
    let others = [Some(args.plan.as_path()), args.chosen.inputs.file.as_deref(), args.script.as_deref()];
    let others: Vec<&Path> = others.into_iter().flatten().collect();
    report::check(args.driving.report.as_deref(), &others)?;
    let mut loaded = load::plan(&args.plan, &args.chosen, true, settings, &mut outlet::stderr())?;
    loaded.narrow(&args.steps.selection())?;
    let pace = pace::read(&args.driving, args.emulate)?;
    let max_parallel = loaded.places(args.max_parallel)?;
    let mut journal = Journal::open(&settings.state_dir)?;
    let header = header(args, &loaded, max_parallel, pace.limits.seed, &mut journal)?;
    let begun = Begun { args, settings, loaded, header, pace, journal };
    block_on(async move { if args.emulate { begun.emulated().await } else { Box::pin(begun.real()).await } })
}

/// A flow that is about to be made.
struct Begun<'a> {
    args: &'a Apply,
    settings: &'a Settings,
    loaded: LoadedPlan,
    header: FlowHeader,
    pace: Pace,
    journal: Journal,
}

/// What was found when all was made sure of that a start needs.
struct Ready {
    /// Reads the secrets.
    secrets: Secrets,
    /// The definitions that the plan fits.
    definitions: Definitions,
    capacities: Capacities,
}

impl Begun<'_> {
    /// Runs the flow against workspaces inside this process. Such a flow owns no key and stands in nobody's way.
    async fn emulated(mut self) -> Result<Driven, Failure> {
        let args = self.args;
        // Lives until the flow is over: dropping it ends the service.
        let emulated =
            emulate::Emulated::start(&self.loaded.plan, args.script.as_deref(), &args.artifacts, args.speed)
                .await?;
        emulated.move_in(&mut self.loaded);
        // Who watches it must be able to tell when this process is gone.
        self.journal.attend(&self.header.id)?;
        let (surroundings, sign_in) = emulated.sign_in(self.settings, &args.driving.sign_in);
        let mut connections = Connections::prepare(&surroundings, &sign_in)?;
        self.start(&mut connections, None, false).await
    }

    /// Runs the flow as the only owner of its key.
    async fn real(mut self) -> Result<Driven, Failure> {
        let (args, settings) = (self.args, self.settings);
        let (key, id) = (self.header.key(), self.header.id.clone());
        if args.wait {
            own::wait_and_take(&mut self.journal, &key, &id, tell).await?;
        } else {
            own::take(&mut self.journal, &self.header)?;
        }
        let mut connections = Connections::prepare(settings, &args.driving.sign_in)?;
        let patience = connect::driving(self.pace.limits.seed);
        let mut ready = None;
        while let Some(flow) = earlier::unfinished(&mut self.journal, &self.header)? {
            if args.resume && self.is_like(flow.header()) {
                return self.resume(&flow).await;
            }
            if !args.new {
                return Err(self.in_the_way(flow.header()));
            }
            // Before anything is given up for a flow that could not begin.
            if ready.is_none() {
                ready = Some(self.preflight(&mut connections).await?);
            }
            // A single look: what cannot be seen now is refused, not waited for.
            let clients = connections.clients(flow.plan(), patience)?;
            earlier::give_up(&mut self.journal, &flow, &clients, self.pace.limits.start_grace).await?;
            tell(&format!("flow {} was given up", flow.header().id));
        }
        if args.resume
            && let Some(newest) = self.journal.newest_of(&key)?
        {
            // An edited plan may have changed its inputs since it was made.
            let flow = load::flow(&mut self.journal, &newest.id)?;
            // One that came too late is done all the same.
            let is_done = flow.is_given_up() || flow.exit_code().is_some() && flow.went_well();
            if self.is_like(flow.header()) && !is_done {
                return self.resume(&flow).await;
            }
        }
        self.header.trust = drive::trust(&mut self.journal)?;
        let looks_first = !args.new && !self.journal.has_seen(&self.header.plan_name)?;
        self.start(&mut connections, ready, looks_first).await
    }

    /// Makes the flow and drives it; looks before that whether the plan runs from elsewhere.
    async fn start(
        mut self,
        connections: &mut Connections<'_>,
        ready: Option<Ready>,
        looks_first: bool,
    ) -> Result<Driven, Failure> {
        let Ready { secrets, definitions, capacities } = match ready {
            Some(ready) => ready,
            None => self.preflight(connections).await?,
        };
        self.header.definitions = definitions;
        if looks_first {
            let clients = connections.clients(&self.loaded.plan, connect::ASKING)?;
            earlier::first_look(&self.loaded.plan, &clients).await?;
        }
        let clients = connections.clients(&self.loaded.plan, connect::driving(self.pace.limits.seed))?;
        if let Some(earlier) = self.journal.create(&self.header)? {
            return Err(earlier::in_the_way(&earlier));
        }
        let flow = Flow::new(self.header, self.loaded.plan, self.loaded.graph);
        let goal = if self.args.detach { Goal::Started } else { Goal::End };
        let (journal, pace) = (self.journal, self.pace);
        let (opening, next) = (Vec::new(), Next::Resume);
        let http = connections.http().clone();
        let owned = Owned { flow, capacities, journal, clients, http, secrets, pace, opening, goal, next };
        drive::drive(owned, &self.args.driving, self.settings).await
    }

    /// Makes sure of all that a start needs, and returns what was found.
    async fn preflight(&self, connections: &mut Connections<'_>) -> Result<Ready, Failure> {
        let plan = &self.loaded.plan;
        if let Some(saved) = &self.loaded.saved {
            saved.make_sure(plan, connections, self.header.emulated, self.settings).await?;
        }
        let (file, seed) = (&self.header.plan_file, self.pace.limits.seed);
        // Not this process's own settings: an emulated flow has the emulator's vaults.
        let secrets = secrets::prepare(connections, file, seed)?;
        let wanted = secrets::of_plan(plan, self.header.emulated);
        let claim = Claim {
            file,
            text: &self.loaded.text,
            is_to_start: &|_| true,
            hint: "correct the plan, or publish the pipelines, and type the command again".to_owned(),
        };
        let (definitions, capacities) =
            secrets::preflight(plan, connections, &secrets, wanted, &claim).await?;
        Ok(Ready { secrets, definitions, capacities })
    }

    /// Goes on with an earlier flow of the key, which this process owns.
    async fn resume(mut self, earlier: &Flow) -> Result<Driven, Failure> {
        let earlier = earlier.header();
        if earlier.plan_sha256 != self.header.plan_sha256 {
            let (id, file) = (&earlier.id, &self.header.plan_file);
            tell(&format!(
                "note: the plan has changed since flow {id} began, which goes on by its own; \
                 `synflow resume {id} --plan {file}` takes the new one"
            ));
        }
        let way = Way { detach: self.args.detach, ..Way::default() };
        let flow = own::bring_back(&mut self.journal, &earlier.id)?;
        resume::go_on(flow, self.journal, &way, self.pace, &self.args.driving, self.settings).await
    }

    /// Says whether an earlier flow was begun with the same inputs and for the same steps.
    fn is_like(&self, earlier: &FlowHeader) -> bool {
        earlier.inputs == self.header.inputs && earlier.selection == self.header.selection
    }

    fn in_the_way(&self, earlier: &FlowHeader) -> Failure {
        let failure = earlier::in_the_way(earlier);
        if self.args.resume {
            failure.because("it has other inputs, or other steps, than those given now")
        } else {
            failure
        }
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
    let (plan_file, selection) = match &loaded.saved {
        Some(saved) => (saved.plan_file().to_owned(), saved.plan.selection.clone()),
        None => (args.plan.display().to_string(), args.steps.selection()),
    };
    let commit = commit::of(Path::new(&plan_file), &loaded.text);
    Ok(FlowHeader {
        id: new_id(journal)?,
        plan_name: plan.name.clone(),
        plan_file,
        plan_text: loaded.text.clone(),
        plan_sha256: load::sha256(&loaded.text),
        environment: plan.environment.clone(),
        run_key: plan.run_key.clone(),
        selection,
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        created_at: now(),
        emulated: args.emulate,
        max_parallel,
        seed,
        trust: std::collections::BTreeMap::new(),
        definitions: Definitions::new(),
        commit,
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
