//! A plan against the pipelines that are deployed in its workspaces.
//!
//! `plan` tells what does not fit, `apply` and `resume` start nothing then. One list of definitions for each workspace, or
//! one definition where the plan needs only one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use http::StatusCode;
use serde_json::Value;

use crate::cli::connect::{self, ASKING, Connections};
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::{ci, outlet};
use crate::definition::{self, Catalogue, Definition};
use crate::driver::now;
use crate::flow::{Capacities, Definitions};
use crate::plan::{self, Diagnostic, Plan, Step, StepIndex, Workspace};
use crate::report::one_line;
use crate::synapse::{CallFailure, SynapseClient, Window, reading};
use crate::time::Delay;

/// How many pipelines that the list lacks are asked for by name, in vain, before it is believed.
const IN_VAIN_MAX: usize = 20;

/// What is held against the pipelines before anything is started.
pub(super) struct Claim<'a> {
    /// The plan's file, as messages name it.
    pub(super) file: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    /// Which steps are still to be started.
    pub(super) is_to_start: &'a dyn Fn(StepIndex) -> bool,
    /// What to do if it does not fit.
    pub(super) hint: String,
}

/// Reads the definitions of a plan's pipelines and holds the plan against them. What was found is told on stderr.
///
/// Returns the versions that were read, and for how many runs there is room. Where we may start pipelines but not read their definitions, that is told and nothing is held against them. Fails with
/// exit 4 if something does not fit, with 10 where we are not let in, and with 11 where nobody answers.
pub(super) async fn keep(
    plan: &Plan,
    connections: &mut Connections<'_>,
    claim: &Claim<'_>,
) -> Result<(Definitions, Capacities), Failure> {
    let mut catalogues = Vec::new();
    for (position, workspace) in plan.workspaces.iter().enumerate() {
        let wanted = wanted(plan, position, claim.is_to_start);
        if wanted.is_empty() {
            // Its runs are live, or its steps are over: it must let us in all the same.
            connect::preflight_of(plan, connections, |other| other == position).await?;
            catalogues.push(None);
            continue;
        }
        let client = connections.client(workspace, ASKING)?;
        catalogues.push(match deployed(&client, workspace, &wanted, false).await {
            Ok(catalogue) => Some(catalogue),
            Err(why) if is_forbidden(&why) && sees_runs(&client).await => {
                tell(&format!("warning: {}", untold(workspace, &why)));
                None
            }
            Err(why) => return Err(connect::refused(workspace, &why)),
        });
    }
    let findings = definition::check_steps(plan, claim.is_to_start, |at| catalogues.get(at)?.as_ref());
    let colour = connections.settings().colour;
    let told = plan::render(&findings, claim.file, claim.text.as_bytes(), colour);
    // A closed stderr must not stop a flow.
    drop(outlet::stderr().write_all(told.as_bytes()));
    ci::show_errors(claim.file, claim.text.as_bytes(), &findings, connections.settings());
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::new(Exit::Contract, "nothing was started").hint(claim.hint.clone()));
    }
    Ok((versions(plan, &catalogues), capacities(plan, &catalogues)))
}

/// Returns for how many runs of the plan's pipelines their workspaces have room.
fn capacities(plan: &Plan, catalogues: &[Option<Catalogue>]) -> Capacities {
    let of_step = |step: &Step| {
        let found = catalogues.get(step.workspace)?.as_ref()?.find(&step.pipeline)?;
        Some(((step.workspace, step.pipeline.clone()), found.capacity()?))
    };
    plan.runs().filter_map(|(_, step)| of_step(step)).collect()
}

/// Returns the versions of what the plan's pipelines are in the catalogues of its workspaces.
pub(super) fn versions(plan: &Plan, catalogues: &[Option<Catalogue>]) -> Definitions {
    let mut versions = Definitions::new();
    for (_, step) in plan.runs() {
        let found = catalogues.get(step.workspace).and_then(|read| read.as_ref()?.find(&step.pipeline));
        // What an emulator makes up is no version of anything.
        let etag = found.filter(|definition| !definition.is_stand_in).and_then(Definition::etag);
        if let Some(etag) = etag {
            let of_workspace = versions.entry(plan.workspaces[step.workspace].key.clone()).or_default();
            of_workspace.insert(step.pipeline.clone(), etag.to_owned());
        }
    }
    versions
}

/// Returns the pipelines of a workspace that such steps of a plan run.
pub(super) fn wanted(plan: &Plan, workspace: usize, is_meant: impl Fn(StepIndex) -> bool) -> BTreeSet<&str> {
    let steps = plan.runs().filter(|(_, step)| step.workspace == workspace && !step.open.target);
    steps.filter(|(index, _)| is_meant(*index)).map(|(_, step)| step.pipeline.as_str()).collect()
}

/// Says that a plan was not held against the pipelines of a workspace.
pub(super) fn untold(workspace: &Workspace, why: &CallFailure) -> String {
    let key = &workspace.key;
    format!(
        "the plan was not held against the pipelines in workspace `{key}`: {}",
        one_line(&why.to_string())
    )
}

/// Reads these pipelines of a workspace, and on the way others for messages to name; all others, for what they start in turn, if
/// all are needed.
pub(super) async fn deployed(
    client: &SynapseClient,
    workspace: &Workspace,
    wanted: &BTreeSet<&str>,
    needs_all: bool,
) -> Result<Catalogue, CallFailure> {
    let mut read = Read::new(workspace);
    let mut only = None;
    if let (Some(name), 1, false) = (wanted.first(), wanted.len(), needs_all) {
        if read.ask(client, name).await? {
            return Ok(read.catalogue);
        }
        only = Some(*name);
    }
    match client.each_pipeline(|resource| read.add(&resource)).await {
        Ok(()) | Err(CallFailure::TooManyPages { .. }) => {}
        Err(why) => return Err(why),
    }
    let missing: Vec<&str> = wanted.iter().filter(|name| !read.knows(name)).copied().collect();
    let mut in_vain = 0;
    for (at, name) in missing.iter().enumerate() {
        // A list may lag behind what was published just now.
        if only == Some(*name) || read.ask(client, name).await? {
            let is_made_up = read.catalogue.find(name).is_some_and(|it| it.is_stand_in);
            // Who makes up one makes up all, and says nothing of any but its version.
            if !is_made_up || needs_all {
                continue;
            }
        } else {
            in_vain += 1;
            if in_vain < IN_VAIN_MAX {
                continue;
            }
        }
        let rest = missing.iter().skip(at + 1).map(|name| (*name).to_owned());
        read.catalogue.unreadable.extend(rest);
        break;
    }
    Ok(read.catalogue)
}

/// What was read of a workspace so far.
struct Read {
    catalogue: Catalogue,
    /// How names are spelled, by their lower case: to the service they are one.
    by_lower_case: BTreeMap<String, String>,
}

impl Read {
    fn new(workspace: &Workspace) -> Self {
        let catalogue = Catalogue::new(format!("the workspace `{}`", workspace.name));
        Self { catalogue, by_lower_case: BTreeMap::new() }
    }

    fn add(&mut self, resource: &Value) {
        if let Some(definition) = reading::definition(resource, "") {
            self.by_lower_case.insert(definition.name.to_lowercase(), definition.name.clone());
            self.catalogue.add(definition);
        }
    }

    /// Says whether this pipeline was read, under whatever spelling.
    fn knows(&mut self, name: &str) -> bool {
        if self.catalogue.definitions.contains_key(name) {
            return true;
        }
        let Some(spelled) = self.by_lower_case.get(&name.to_lowercase()) else { return false };
        self.catalogue.spellings.insert(name.to_owned(), spelled.clone());
        true
    }

    /// Asks for one pipeline by its name, and says whether there is one.
    async fn ask(&mut self, client: &SynapseClient, name: &str) -> Result<bool, CallFailure> {
        let found = match client.pipeline(name).await {
            Ok(found) => found,
            // The service has none whose name cannot be said to it.
            Err(CallFailure::BadName { .. }) => None,
            Err(why) => return Err(why),
        };
        let Some(resource) = found else { return Ok(false) };
        match reading::definition(&resource, name) {
            Some(definition) => {
                self.catalogue.spellings.insert(name.to_owned(), definition.name.clone());
                self.catalogue.add(definition);
            }
            None => drop(self.catalogue.unreadable.insert(name.to_owned())),
        }
        Ok(true)
    }
}

fn is_forbidden(why: &CallFailure) -> bool {
    matches!(why, CallFailure::Refused { status: StatusCode::FORBIDDEN, .. })
}

/// Says whether the workspace shows us runs: then it lets us in, whatever else it does not show.
async fn sees_runs(client: &SynapseClient) -> bool {
    let window = Window { after: now() - Delay::from_secs(60), before: now() };
    client.query_runs(window, &[]).await.is_ok()
}
