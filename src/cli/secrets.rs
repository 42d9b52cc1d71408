//! The secrets of a plan: where they come from, and whether all of them can be read before anything starts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::connect::{self, Connections, cloud};
use crate::cli::contract::{self, Claim};
use crate::cli::emulate::VAULTS;
use crate::cli::failure::{Exit, Failure};
use crate::flow::{Capacities, Definitions, Flow};
use crate::plan::{Cloud, Plan, Scope, SecretText, Step};
use crate::secret::{SecretFailure, Secrets, Sources, VaultAccess, Wanted};
use crate::synapse::Endpoint;

/// Prepares to read the secrets of a plan that was named as `plan_file`. Reads none, touches no network.
///
/// Fails with exit 2 if the vaults' endpoint cannot be used, and with 10 if `AZURE_AUTHORITY_HOST` cannot.
pub(super) fn prepare(
    connections: &mut Connections<'_>,
    plan_file: &str,
    seed: u64,
) -> Result<Secrets, Failure> {
    let mut vaults = Vec::new();
    for of_plan in [Cloud::Public, Cloud::China, Cloud::UsGovernment] {
        let endpoints = cloud(of_plan);
        let tokens = connections.tokens(&connections.login_of(endpoints))?;
        vaults.push(VaultAccess { cloud: of_plan, endpoints, tokens });
    }
    let settings = connections.settings();
    Ok(Secrets::new(Sources {
        environment: settings.env.clone(),
        folder: Path::new(plan_file).parent().unwrap_or(Path::new("")).to_owned(),
        vaults,
        emulated_vaults: settings.env(VAULTS).map(emulated_vaults).transpose()?,
        http: Some(connections.http().clone()),
        asking: connect::ASKING,
        driving: connect::driving(seed),
    }))
}

fn emulated_vaults(text: &str) -> Result<Endpoint, Failure> {
    let hint = "it is what `synflow emulate` prints; unset it to use the vaults of Azure";
    let endpoint =
        Endpoint::parse(text).map_err(|error| Failure::from_error(Exit::Usage, &error).hint(hint))?;
    // Whoever is there is shown tokens for vaults.
    if !endpoint.is_loopback() {
        return Err(Failure::new(Exit::Usage, format!("{VAULTS} must lead to this machine")).hint(hint));
    }
    Ok(endpoint)
}

/// Returns the secrets of a plan: those of its steps, and those of its webhooks unless its flow is emulated, which sends
/// none.
pub(super) fn of_plan(plan: &Plan, is_emulated: bool) -> BTreeSet<Wanted> {
    let mut wanted: BTreeSet<Wanted> = plan.runs().flat_map(|(_, step)| of_step(plan, step)).collect();
    if !is_emulated {
        wanted.extend(of_hooks(plan));
    }
    wanted
}

/// Returns the secrets of the steps of a flow that are not over, those that their attempts have sent or will send, and
/// those of its webhooks.
pub(super) fn of_flow(flow: &Flow) -> BTreeSet<Wanted> {
    let plan = flow.plan();
    let mut wanted = BTreeSet::new();
    for (_, step, run) in flow.steps().filter(|(_, _, run)| !run.is_over()) {
        if let Some(attempt) = run.current_attempt() {
            let cloud = plan.workspaces[step.workspace].cloud;
            let sent = attempt.secrets.iter().flat_map(SecretText::references);
            wanted.extend(sent.map(|reference| (cloud, reference.clone())));
        } else {
            wanted.extend(of_step(plan, step));
        }
    }
    if !flow.header().emulated {
        wanted.extend(of_hooks(plan));
    }
    wanted
}

fn of_step(plan: &Plan, step: &Step) -> Vec<Wanted> {
    if step.parameters.iter().all(|(_, template)| !template.has_secrets()) {
        return Vec::new();
    }
    let (scope, cloud) = (plan.scope(step), plan.workspaces[step.workspace].cloud);
    let references = step.parameters.iter().filter_map(|(_, template)| template.references(&scope).ok());
    references.flatten().map(|reference| (cloud, reference)).collect()
}

fn of_hooks(plan: &Plan) -> Vec<Wanted> {
    let scope = Scope {
        inputs: plan.inputs.clone(),
        env: plan.env.clone(),
        plan_name: plan.name.clone(),
        ..Scope::default()
    };
    let references = plan.hooks.templates().filter_map(|template| template.references(&scope).ok());
    references.flatten().map(|reference| (plan.cloud_of_hooks(), reference)).collect()
}

/// Does all that must be right before anything is started: secrets on this machine, workspaces and the pipelines in them,
/// secrets in vaults. Returns the versions of the definitions, and for how many runs there is room.
///
/// Fails with exit 4 where a secret is missing or the plan does not fit its pipelines, 10 where we are not let in, and 11
/// where nobody answers.
pub(super) async fn preflight(
    plan: &Plan,
    connections: &mut Connections<'_>,
    secrets: &Secrets,
    wanted: BTreeSet<Wanted>,
    claim: &Claim<'_>,
) -> Result<(Definitions, Capacities), Failure> {
    let (remote, local) = wanted.into_iter().partition(|(_, reference)| reference.is_remote());
    told(&secrets.check(&local).await)?;
    let read = contract::keep(plan, connections, claim).await?;
    told(&secrets.check(&remote).await).map_err(|failure| match connections.settings().env(VAULTS) {
        Some(_) => failure.hint("emulated vaults hold what the emulator's script names below `secrets`"),
        None => failure,
    })?;
    Ok(read)
}

fn told(failures: &[SecretFailure]) -> Result<(), Failure> {
    if failures.is_empty() {
        return Ok(());
    }
    let exit = if failures.iter().any(SecretFailure::is_sign_in_or_permission) {
        Exit::Denied
    } else if failures.iter().any(SecretFailure::is_transient) {
        Exit::Unreachable
    } else {
        Exit::Contract
    };
    let count =
        if failures.len() == 1 { "a secret".to_owned() } else { format!("{} secrets", failures.len()) };
    let failure = Failure::new(exit, format!("{count} of the plan cannot be read; nothing was started"));
    let failure = failures.iter().fold(failure, |failure, why| failure.because(why.to_string()));
    let hints: BTreeSet<&str> = failures.iter().filter_map(SecretFailure::hint).collect();
    Err(hints.into_iter().fold(failure, Failure::hint))
}
