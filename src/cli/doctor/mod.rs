//! `synflow doctor [PLAN]`: everything that must be right before a plan can run, and what to do where it is not.
//!
//! Asks, and starts nothing. No token and no secret is in anything it prints.

mod host;
mod identity;
mod permission;
mod workspace;

use std::path::Path;

use crate::cli::args::{Doctor, Output};
use crate::cli::connect::{Connections, Login};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, LoadedPlan};
use crate::cli::settings::Settings;
use crate::cli::{block_on, outlet, put, put_value};
use crate::report::checkup::{self, Group};
use crate::synapse::Cloud;

/// Checks the surroundings and returns the exit code that `apply` would run into.
///
/// Fails with exit 3 if the plan is invalid, and with exit 2 if the extra certificates cannot be read.
pub(super) fn run(args: &Doctor, settings: &Settings) -> Result<u8, Failure> {
    let loaded = match &args.plan {
        None => None,
        Some(path) => Some(load::plan(path, &args.chosen, false, settings, &mut outlet::stderr())?),
    };
    block_on(check(args, settings, loaded.as_ref()))
}

async fn check(args: &Doctor, settings: &Settings, loaded: Option<&LoadedPlan>) -> Result<u8, Failure> {
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let is_text = args.output == Output::Text;
    // People see each group at once: a check may take its time.
    let mut shown = |group: &Group| if is_text { put(&format!("{}\n", group.text())) } else { Ok(()) };
    let looked_at = loaded.zip(args.plan.as_deref());
    let groups = look(&mut connections, looked_at, &mut shown).await?;
    let exit_code = checkup::exit_code(&groups, Exit::Contract.code());
    if is_text {
        put(&ending(&groups, exit_code, args))?;
    } else {
        put_value(&checkup::value(&groups, exit_code), args.output, String::new)?;
    }
    Ok(exit_code)
}

/// Looks at the sign-in and, with a plan and the path of its file, at its workspaces. Each group goes to `seen` as soon as it is known.
///
/// Fails with exit 3 if an endpoint cannot be used, or as `seen` does.
pub(super) async fn look(
    connections: &mut Connections<'_>,
    of: Option<(&LoadedPlan, &Path)>,
    seen: &mut impl FnMut(&Group) -> Result<(), Failure>,
) -> Result<Vec<Group>, Failure> {
    let mut groups = Vec::new();
    let mut signed_in = Vec::new();
    for login in logins(of.map(|(loaded, _)| loaded), connections) {
        let (group, identity) = identity::check(connections, &login).await?;
        seen(&group)?;
        groups.push(group);
        signed_in.push((login, identity));
    }
    let Some((loaded, path)) = of else { return Ok(groups) };
    for (position, workspace) in loaded.plan.workspaces.iter().enumerate() {
        let own = connections.login(workspace);
        let identity = signed_in.iter().find(|(login, _)| *login == own);
        let steps = loaded.plan.runs().map(|(_, step)| step).filter(|step| step.workspace == position);
        let visit = workspace::Visit {
            workspace,
            steps: steps.collect(),
            plan_file: path.display().to_string(),
            identity: identity.and_then(|(_, identity)| identity.as_ref()),
        };
        let group = visit.check(connections).await?;
        seen(&group)?;
        groups.push(group);
    }
    Ok(groups)
}

/// Returns every login of the plan once, in its order; without a plan that to the public cloud.
fn logins(loaded: Option<&LoadedPlan>, connections: &Connections<'_>) -> Vec<Login> {
    let Some(loaded) = loaded else { return vec![connections.login_of(Cloud::Public)] };
    let mut logins = Vec::new();
    for workspace in &loaded.plan.workspaces {
        let login = connections.login(workspace);
        if !logins.contains(&login) {
            logins.push(login);
        }
    }
    logins
}

fn ending(groups: &[Group], exit_code: u8, args: &Doctor) -> String {
    let environment = args.chosen.env.as_ref().map(|name| format!(" --env {name}")).unwrap_or_default();
    let plan = args.plan.as_ref().map(|path| format!("{}{environment}", path.display()));
    let (all, failed) = checkup::count(groups);
    match (exit_code, plan) {
        (0, Some(plan)) if checkup::is_complete(groups) => {
            format!("Nothing stands in the way of `synflow apply {plan}`.\n")
        }
        (0, Some(plan)) => {
            format!("Nothing that could be checked stands in the way of `synflow apply {plan}`.\n")
        }
        (0, None) => {
            "Signing in works. To check workspaces, name a plan: `synflow doctor PLAN`.\n".to_owned()
        }
        // Which code `apply` ends with depends on how far it gets.
        (code, plan) => {
            let meaning = Exit::ALL.iter().find(|(_, number, _)| *number == code);
            let meaning = meaning.map_or("", |(_, _, meaning)| meaning);
            let plan = plan.unwrap_or_else(|| "PLAN".to_owned());
            format!("{failed} of {all} checks failed. `synflow apply {plan}` would fail: {meaning}.\n")
        }
    }
}
