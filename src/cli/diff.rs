//! `synflow diff BEFORE [AFTER]`: what two plans, a plan and a flow, or two flows say differently.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::cli::args::Diff;
use crate::cli::failure::{Exit, Failure};
use crate::cli::git::{self, Reach};
use crate::cli::settings::Settings;
use crate::cli::{load, outlet, put_value};
use crate::diff;
use crate::flow::Flow;
use crate::journal::Journal;
use crate::plan::Plan;
use crate::report::differences;

/// One of the two that are compared.
struct Side {
    /// What it is called: `plan.yaml`, `plan.yaml at main`, `flow 7f3a9c`.
    name: String,
    plan: Arc<Plan>,
    flow: Option<Flow>,
}

/// Prints what differs. Fails with exit 2 if one of the two is neither a file nor a flow, and with 3 if a plan cannot run.
pub(super) fn run(args: &Diff, settings: &Settings) -> Result<(), Failure> {
    let (before, after) = match (&args.git, &args.after) {
        (Some(revision), _) => {
            let path = Path::new(&args.before);
            (revised(path, revision, args, settings)?, file(path, args, settings)?)
        }
        (None, Some(after)) => (side(&args.before, args, settings)?, side(after, args, settings)?),
        (None, None) => {
            let after = side(&args.before, args, settings)?;
            (latest(&after.plan, settings)?, after)
        }
    };
    let mut plans = diff::plans(&before.plan, &after.plan);
    if let Some((was, is)) = before.flow.as_ref().zip(after.flow.as_ref()) {
        let versions = |flow: &Flow| flow.header().definitions.clone();
        // What is emulated stands for another workspace than the one it is called after.
        if was.header().emulated == is.header().emulated {
            plans.extend(diff::definitions((&before.plan, &versions(was)), (&after.plan, &versions(is))));
        }
    }
    let mut value = differences::json(&plans);
    let runs =
        before.flow.as_ref().zip(after.flow.as_ref()).map(|(before, after)| diff::flows(before, after));
    value["before"] = json!(before.name);
    value["after"] = json!(after.name);
    if let Some(runs) = &runs {
        value["runs"] = differences::json(runs)["steps"].take();
    }
    put_value(&value, args.output, || {
        let mut text = format!("from {} to {}: {}\n", before.name, after.name, differences::tally(&plans));
        text += &differences::text(&plans);
        if let Some(runs) = &runs {
            text += if runs.is_empty() { "\nits steps ended alike\n" } else { "\nhow they ended:\n" };
            text += &differences::text(runs);
        }
        text
    })
}

fn side(name: &str, args: &Diff, settings: &Settings) -> Result<Side, Failure> {
    if load::is_plan(name) {
        return file(Path::new(name), args, settings);
    }
    let Some(mut journal) = Journal::open_existing(&settings.state_dir)? else {
        return Err(Failure::new(Exit::Usage, format!("`{name}` is no file, and there are no flows yet"))
            .hint("name two plans, or a plan and a flow such as `@latest`"));
    };
    let header = journal.find(Some(name))?;
    let flow = load::flow(&mut journal, &header.id)?;
    Ok(of_flow(flow))
}

fn of_flow(flow: Flow) -> Side {
    let name = format!("flow {}", flow.header().id);
    // The flow's own limit counts, which the command line may have set.
    let plan = Plan { max_parallel: flow.header().max_parallel, ..flow.plan().clone() };
    Side { name, plan: Arc::new(plan), flow: Some(flow) }
}

/// Returns the latest flow of a plan, in its environment.
fn latest(plan: &Plan, settings: &Settings) -> Result<Side, Failure> {
    let nothing = || {
        Failure::new(Exit::Usage, format!("there is no flow of `{}` to compare with", plan.name))
            .hint("name a second plan, or `--git REVISION`")
    };
    let mut journal = Journal::open_existing(&settings.state_dir)?.ok_or_else(nothing)?;
    let newest = journal.newest_of_plan(&plan.name, &plan.environment, false, 1)?;
    let id = newest.first().ok_or_else(nothing)?;
    Ok(of_flow(load::flow(&mut journal, id)?))
}

fn file(path: &Path, args: &Diff, settings: &Settings) -> Result<Side, Failure> {
    let loaded = load::plan(path, &args.chosen, false, settings, &mut outlet::stderr())?;
    Ok(Side { name: path.display().to_string(), plan: loaded.plan, flow: None })
}

/// Loads a plan as it was at a revision. Files that it names are read as they are now.
fn revised(path: &Path, revision: &str, args: &Diff, settings: &Settings) -> Result<Side, Failure> {
    let name = format!("{} at {revision}", path.display());
    let failed = |why: &str| {
        Failure::new(Exit::Usage, format!("cannot read `{}` at the revision `{revision}`", path.display()))
            .because(why.to_owned())
            .hint("`git log -- PLAN` lists the revisions of a plan")
    };
    if revision.starts_with('-') {
        return Err(failed("a revision does not begin with `-`"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let answer = git::ask(folder, &["show", &format!("{revision}:./{file}")], None, Reach::Network);
    let answer = answer.map_err(|error| failed(&format!("git cannot be run: {error}")))?;
    if !answer.is_good {
        return Err(failed(String::from_utf8_lossy(&answer.stderr).trim()));
    }
    let loaded = load::text(path, &name, &answer.stdout, &args.chosen, settings, &mut outlet::stderr())?;
    Ok(Side { name, plan: loaded.plan, flow: None })
}
