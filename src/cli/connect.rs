//! From a plan's workspaces and the environment to clients that have proved they can call.

use http::StatusCode;
use secrecy::SecretString;

use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::plan::{self, Plan, Workspace};
use crate::synapse::{
    CallFailure, Cloud, Credential, Endpoint, Http, HttpSettings, SynapseClient, TokenCache,
};

/// Makes a client for each workspace of the plan, in its order. Touches no network.
///
/// Fails with exit 10 if the environment names no credential, and with exit 3 if an endpoint cannot be used.
pub(super) fn clients(plan: &Plan, settings: &Settings) -> Result<Vec<SynapseClient>, Failure> {
    let http = Http::new(&HttpSettings::default())
        .map_err(|error| Failure::from_error(Exit::Unreachable, &error))?;
    let mut caches: Vec<(Cloud, TokenCache)> = Vec::new();
    let mut clients = Vec::new();
    for workspace in &plan.workspaces {
        let cloud = cloud(workspace.cloud);
        let known = caches.iter().find(|(of, _)| *of == cloud);
        let tokens = if let Some((_, tokens)) = known {
            tokens.clone()
        } else {
            let tokens = TokenCache::new(credential(cloud, settings)?, http.clone());
            caches.push((cloud, tokens.clone()));
            tokens
        };
        let endpoint = Endpoint::parse(&workspace.endpoint)
            .map_err(|error| Failure::from_error(Exit::PlanInvalid, &error))?;
        clients.push(SynapseClient::new(endpoint, cloud.audience(), tokens, http.clone()));
    }
    Ok(clients)
}

/// The plan's word in the client's terms: neither knows the other.
const fn cloud(cloud: plan::Cloud) -> Cloud {
    match cloud {
        plan::Cloud::Public => Cloud::Public,
        plan::Cloud::China => Cloud::China,
        plan::Cloud::UsGovernment => Cloud::UsGovernment,
    }
}

/// Reads the client secret from the environment, as the vendor's own tools do.
fn credential(cloud: Cloud, settings: &Settings) -> Result<Credential, Failure> {
    let wanted = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];
    let missing: Vec<&str> = wanted.into_iter().filter(|name| settings.env(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Failure::new(Exit::Denied, format!("cannot sign in: {} not set", listed(&missing)))
            .hint("set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET to those of an app registration")
            .hint("or try the plan without Azure: add `--emulate`"));
    }
    let value = |name| settings.env(name).unwrap_or_default().to_owned();
    let authority = settings.env("AZURE_AUTHORITY_HOST").unwrap_or_else(|| cloud.authority());
    let authority = Endpoint::parse(authority).map_err(|error| {
        Failure::from_error(Exit::Denied, &error).hint("check AZURE_AUTHORITY_HOST, or unset it")
    })?;
    Ok(Credential::ClientSecret {
        tenant: value("AZURE_TENANT_ID"),
        client_id: value("AZURE_CLIENT_ID"),
        secret: SecretString::from(value("AZURE_CLIENT_SECRET")),
        authority,
    })
}

/// Signs in and reads one definition in each workspace that a step uses, before anything is started.
///
/// Fails with exit 10 where we are not let in, and with exit 11 where nobody answers.
pub(super) async fn preflight(plan: &Plan, clients: &[SynapseClient]) -> Result<(), Failure> {
    for (position, (workspace, client)) in plan.workspaces.iter().zip(clients).enumerate() {
        let Some(step) = plan.steps.iter().find(|step| step.workspace == position) else { continue };
        client.pipeline(&step.pipeline).await.map_err(|failure| refused(workspace, &failure))?;
    }
    Ok(())
}

fn refused(workspace: &Workspace, failure: &CallFailure) -> Failure {
    let exit = if failure.is_sign_in_or_permission() { Exit::Denied } else { Exit::Unreachable };
    let message = format!("cannot use workspace `{}` ({})", workspace.name, workspace.endpoint);
    let mut told = Failure::new(exit, message).because(failure.to_string());
    if let CallFailure::Refused { status: StatusCode::FORBIDDEN, .. } = failure {
        told = told.hint("a Synapse Administrator grants roles in Synapse Studio: Manage > Access control");
    }
    match failure.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        _ => format!("{} are", names.join(", ")),
    }
}
