//! `synflow apply PLAN`: checks the plan, makes a flow of it and runs it to its end.

use std::io::Write;

use crate::cli::args::Apply;
use crate::cli::connect::{self, Connections};
use crate::cli::drive::{self, Owned};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, LoadedPlan};
use crate::cli::resume::{self, Way};
use crate::cli::settings::Settings;
use crate::cli::{dry_run, earlier, emulate, own, pace, runtime};
use crate::driver::{Goal, Pace, now};
use crate::flow::{Flow, FlowHeader, FlowId};
use crate::journal::Journal;

/// Runs the plan and returns the flow's exit code.
///
/// Fails, with nothing started, if the plan is invalid (3), another process runs it or an earlier flow of it has not
/// ended (6), we are not let in (10), nobody answers (11) or the journal cannot be used (12).
pub(super) fn run(args: &Apply, settings: &Settings) -> Result<u8, Failure> {
    let loaded = load::plan(&args.plan, &args.inputs.inputs, true, settings, &mut anstream::stderr())?;
    let pace = pace::read(&args.driving, args.emulate)?;
    let max_parallel = args.max_parallel.map_or(loaded.plan.max_parallel, |places| places as usize);
    if args.dry_run {
        return dry_run::show(&loaded, max_parallel).map(|()| Exit::Done.code());
    }
    let mut journal = Journal::open(&settings.state_dir)?;
    let header = header(args, &loaded, max_parallel, pace.limits.seed, &mut journal)?;
    let begun = Begun { args, settings, loaded, header, pace, journal };
    runtime()?.block_on(async move { if args.emulate { begun.emulated().await } else { begun.real().await } })
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

impl Begun<'_> {
    /// Runs the flow against workspaces inside this process. Such a flow owns no key and stands in nobody's way.
    async fn emulated(mut self) -> Result<u8, Failure> {
        let args = self.args;
        // Lives until the flow is over: dropping it ends the service.
        let emulated =
            emulate::Emulated::start(&self.loaded.plan, args.script.as_deref(), &args.artifacts).await?;
        emulated.move_in(&mut self.loaded);
        let (surroundings, sign_in) = emulated.sign_in(self.settings);
        let mut connections = Connections::prepare(&surroundings, &sign_in)?;
        self.start(&mut connections, false).await
    }

    /// Runs the flow as the only owner of its key.
    async fn real(mut self) -> Result<u8, Failure> {
        let (args, settings) = (self.args, self.settings);
        let (key, id) = (self.header.key(), self.header.id.clone());
        if args.wait {
            // A closed stderr must not stop a plan.
            let say = |text: &str| drop(writeln!(anstream::stderr(), "{text}"));
            own::wait_and_take(&mut self.journal, &key, &id, say).await?;
        } else {
            own::take(&mut self.journal, &key, &id)?;
        }
        while let Some(flow) = earlier::unfinished(&mut self.journal, &self.header)? {
            if args.resume && flow.header().inputs == self.header.inputs {
                return self.resume(flow.header().clone()).await;
            }
            if !args.new {
                return Err(self.in_the_way(flow.header()));
            }
            let mut connections = Connections::prepare(settings, &args.driving.sign_in)?;
            // A single look: what cannot be seen now is refused, not waited for.
            let clients = connections.clients(flow.plan(), connect::driving(self.pace.limits.seed))?;
            earlier::give_up(&mut self.journal, &flow, &clients).await?;
        }
        if args.resume
            && let Some(newest) = self.journal.newest_of(&key)?
            && newest.inputs == self.header.inputs
        {
            let flow = load::flow(&mut self.journal, &newest)?;
            if !flow.is_given_up() && flow.exit_code() != Some(Exit::Done.code()) {
                return self.resume(newest).await;
            }
        }
        self.header.trust = drive::trust(&mut self.journal)?;
        let mut connections = Connections::prepare(settings, &args.driving.sign_in)?;
        let looks_first = !args.new && !self.journal.has_seen(&self.header.plan_name)?;
        self.start(&mut connections, looks_first).await
    }

    /// Makes the flow and drives it; looks before that whether the plan runs from elsewhere.
    async fn start(mut self, connections: &mut Connections<'_>, looks_first: bool) -> Result<u8, Failure> {
        connect::preflight(&self.loaded.plan, connections).await?;
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
        let owned = Owned { flow, journal, clients, pace, opening: Vec::new(), goal };
        drive::drive(owned, &self.args.driving, self.settings).await.map(|driven| driven.code)
    }

    /// Goes on with an earlier flow of the key, which this process owns.
    async fn resume(mut self, earlier: FlowHeader) -> Result<u8, Failure> {
        if earlier.plan_sha256 != self.header.plan_sha256 {
            let (id, file) = (&earlier.id, &self.header.plan_file);
            let text = format!(
                "note: the plan has changed since flow `{id}` began, which goes on by its own; \
                 `synflow resume {id} --plan {file}` takes the new one\n"
            );
            drop(anstream::stderr().write_all(text.as_bytes()));
        }
        let way = Way { detach: self.args.detach, ..Way::default() };
        let flow = own::bring_back(&mut self.journal, &earlier)?;
        resume::go_on(flow, self.journal, &way, self.pace, &self.args.driving, self.settings).await
    }

    fn in_the_way(&self, earlier: &FlowHeader) -> Failure {
        let failure = earlier::in_the_way(earlier);
        if self.args.resume { failure.because("it has other inputs than those given now") } else { failure }
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
        plan_sha256: load::sha256(&loaded.text),
        environment: String::new(),
        run_key: plan.run_key.clone(),
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
