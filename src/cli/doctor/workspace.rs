//! Can we work in a workspace: its host, whether it takes our token, what we may do, and the plan's pipelines.

use http::StatusCode;
use reqwest::Method;
use serde_json::Value;

use crate::cli::connect::{ASKING, Connections, exit_of};
use crate::cli::doctor::host::{self, Need, Role};
use crate::cli::doctor::permission::{self, Grantee, Named, PERMISSIONS};
use crate::cli::failure::{Exit, Failure};
use crate::driver::now;
use crate::flow::RunId;
use crate::plan::{self, Step, Workspace};
use crate::report::checkup::{Check, Group, Mark};
use crate::synapse::{CallFailure, Identity, SynapseClient, Window};
use crate::time::Delay;

/// A workspace to look at.
pub(super) struct Visit<'a> {
    pub(super) workspace: &'a Workspace,
    /// The plan's steps that use it.
    pub(super) steps: Vec<&'a Step>,
    /// The plan's file, for places in it.
    pub(super) plan_file: String,
    /// Who we are, if anybody.
    pub(super) identity: Option<&'a Identity>,
}

/// Whether a workspace lets us in.
struct Welcome {
    check: Check,
    /// Its name, as far as it is known.
    name: Option<String>,
    is_in: bool,
}

impl Visit<'_> {
    /// Makes all checks. Fails with exit 3 if the endpoint cannot be used.
    pub(super) async fn check(&self, connections: &mut Connections<'_>) -> Result<Group, Failure> {
        let client = connections.client(self.workspace, ASKING)?;
        let reached = host::reach(connections, client.endpoint()).await;
        let mut checks = reached.checks(Role::Workspace, Need::Needed);
        let obstacle = match self.identity {
            _ if !reached.is_reachable() => Some("needs a connection"),
            None => Some("needs a sign-in"),
            Some(_) => None,
        };
        if let Some(why) = obstacle {
            checks.extend(["workspace", "permission", "pipeline"].map(|name| skipped(name, why)));
            return Ok(self.group(checks));
        }
        let welcome = self.knock_with_token(&client).await;
        checks.push(welcome.check);
        if !welcome.is_in {
            let why = "needs a workspace that lets us in";
            checks.extend(["permission", "pipeline"].map(|name| skipped(name, why)));
            return Ok(self.group(checks));
        }
        let listed = client.pipelines().await;
        checks.extend(self.permissions(&client, welcome.name.as_deref(), &listed).await);
        checks.extend(self.pipelines(&client, &listed).await);
        Ok(self.group(checks))
    }

    fn group(&self, checks: Vec<Check>) -> Group {
        Group { title: format!("workspace `{}`, {}", self.workspace.key, self.workspace.endpoint), checks }
    }

    /// Finds out whether the workspace takes our token, and what it calls itself.
    async fn knock_with_token(&self, client: &SynapseClient) -> Welcome {
        let answer = client.send(Method::GET, &["workspace"], None).await;
        let named = self.name_in_plan();
        let welcome =
            |check, name: Option<&str>, is_in| Welcome { check, name: name.map(str::to_owned), is_in };
        let failure = match answer {
            Ok(told) => {
                let own = told.get("name").and_then(Value::as_str);
                return match (own, named) {
                    (Some(own), Some(named)) if !own.eq_ignore_ascii_case(named) => {
                        let found = format!("takes the token, but it is `{own}`, not `{named}`");
                        let check = Check::new("workspace", Mark::Fail(Exit::Contract.code()), found)
                            .next("look where the name leads: DNS or a private endpoint sends it to another workspace");
                        welcome(check, Some(own), true)
                    }
                    (own, named) => welcome(taken(own.or(named)), own.or(named), true),
                };
            }
            Err(failure) => failure,
        };
        match &failure {
            CallFailure::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                let check =
                    Check::new("workspace", Mark::Fail(Exit::Denied.code()), "does not take the token")
                        .detail(failure.to_string())
                        .next("check the workspace's `cloud` in the plan")
                        .next("check that the tenant signed in to above is the workspace's own");
                welcome(check, named, false)
            }
            // The service names the permission that is missing; its firewall and a proxy do not.
            CallFailure::Refused { status: StatusCode::FORBIDDEN, code, message, .. }
                if code.is_empty() || !message.contains("RBAC") =>
            {
                let check = Check::new("workspace", Mark::Fail(Exit::Denied.code()), "lets nobody in from here")
                    .detail(failure.to_string())
                    .next("let this machine's address in: in the Azure portal, the workspace's page Networking")
                    .next("if the workspace is closed to the public network, connect to the network of its private endpoint");
                welcome(check, named, false)
            }
            CallFailure::Refused { message, .. } => {
                let name = named.or_else(|| name_in_refusal(message));
                welcome(taken(name), name, true)
            }
            failure => welcome(failed("workspace", failure), named, false),
        }
    }

    /// Returns the workspace's name, unless the plan gives an address that does not tell it.
    fn name_in_plan(&self) -> Option<&str> {
        let suffix = self.workspace.cloud.host_suffix();
        let is_told = self.workspace.endpoint.to_ascii_lowercase().ends_with(suffix);
        is_told.then_some(self.workspace.name.as_str())
    }

    async fn permissions(
        &self,
        client: &SynapseClient,
        name: Option<&str>,
        listed: &Result<Vec<Value>, CallFailure>,
    ) -> Vec<Check> {
        let principal = self.identity.and_then(|identity| identity.object_id.as_deref());
        let to = Grantee { principal, workspace: name };
        let why = match (principal, name) {
            (Some(principal), Some(name)) => match permission::ask(client, principal, name).await {
                Ok(answers) => return told(&answers, &to),
                Err(failure) if failure.is_unreachable() => {
                    return vec![failed("permission", &failure)];
                }
                Err(failure) => format!("the workspace does not say what we may do: {failure}"),
            },
            (None, _) => "the token does not tell who we are, so nobody can be asked about it".to_owned(),
            (_, None) => "the workspace does not tell its name, so nobody can be asked about it".to_owned(),
        };
        let mut checks =
            vec![Check::new("permission", Mark::Note, why).detail("harmless reads are tried instead")];
        checks.extend(self.tried(client, &to, listed).await);
        checks
    }

    /// Finds out by doing, where that does no harm.
    async fn tried(
        &self,
        client: &SynapseClient,
        to: &Grantee<'_>,
        listed: &Result<Vec<Value>, CallFailure>,
    ) -> Vec<Check> {
        let mut named = Named::new(false);
        let mut checks = Vec::new();
        for permission in PERMISSIONS {
            let answer = match permission.action {
                "read" => {
                    let window = Window { after: now() - Delay::from_secs(60), before: now() };
                    client.query_runs(window, &[]).await.map(drop)
                }
                "artifacts/read" => listed.as_ref().map(|_| ()).map_err(Clone::clone),
                "pipelines/viewOutputs/action" => {
                    let Some(step) = self.steps.first() else { continue };
                    // There is no such run; whoever may look for it is told so.
                    let nobody = RunId(uuid::Uuid::new_v4());
                    client.activities(&step.pipeline, nobody).await.map(drop)
                }
                "cancelPipelineRun/action" => {
                    checks.push(permission.unsure("cannot be tried without a run to cancel"));
                    continue;
                }
                _ => {
                    checks.push(permission.unsure("cannot be tried without starting a run"));
                    continue;
                }
            };
            checks.push(match answer {
                Err(CallFailure::Refused { status: StatusCode::FORBIDDEN, .. }) => {
                    permission.missing(to, &mut named)
                }
                Err(failure) if failure.is_transient() => permission.unsure(&failure.to_string()),
                _ => permission.given(),
            });
        }
        checks
    }

    /// Looks for every pipeline that the plan names.
    async fn pipelines(
        &self,
        client: &SynapseClient,
        listed: &Result<Vec<Value>, CallFailure>,
    ) -> Vec<Check> {
        let listed = match listed {
            Ok(listed) => listed,
            Err(CallFailure::Refused { status: StatusCode::FORBIDDEN, .. }) => {
                return vec![skipped("pipeline", "needs the permission to read definitions")];
            }
            Err(failure) => return vec![failed("pipeline", failure)],
        };
        let there: Vec<&str> = listed.iter().filter_map(|it| it.get("name")?.as_str()).collect();
        let mut wanted: Vec<&Step> = Vec::new();
        for step in &self.steps {
            if !wanted.iter().any(|known| known.pipeline == step.pipeline) {
                wanted.push(step);
            }
        }
        let mut checks = Vec::new();
        for step in &wanted {
            let is_listed = there.iter().any(|name| name.eq_ignore_ascii_case(&step.pipeline));
            if is_listed {
                continue;
            }
            // A list may lag behind what was published just now.
            match client.pipeline(&step.pipeline).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(CallFailure::BadName { .. }) => checks.push(self.missing(step, &there)),
                Err(failure) => checks.push(failed("pipeline", &failure)),
            }
        }
        if checks.is_empty() {
            let found = match wanted.len() {
                0 => "no step of the plan uses this workspace".to_owned(),
                1 => "the one that the plan names is there".to_owned(),
                many => format!("all {many} that the plan names are there"),
            };
            checks.push(Check::new("pipeline", Mark::Ok, found));
        }
        checks
    }

    fn missing(&self, step: &Step, there: &[&str]) -> Check {
        let pipeline = &step.pipeline;
        let place = format!("{}:{}:{}", self.plan_file, step.place.line, step.place.column);
        let found = format!("there is no `{pipeline}`, which step `{}` runs ({place})", step.id);
        let check = Check::new("pipeline", Mark::Fail(Exit::Contract.code()), found)
            .fact("pipeline", pipeline.as_str())
            .fact("step", step.id.as_str());
        let check = match plan::nearest(pipeline, there.iter().copied()) {
            Some(near) => {
                check.fact("nearest", near).next(format!("write `{near}`, if that is the one you mean"))
            }
            None => check,
        };
        check.next(format!(
            "publish `{pipeline}` in Synapse Studio: what is only in git or unpublished cannot run"
        ))
    }
}

fn told(answers: &[Option<bool>], to: &Grantee<'_>) -> Vec<Check> {
    let mut named = Named::new(answers.iter().filter(|answer| **answer == Some(false)).count() > 1);
    let answers = PERMISSIONS.iter().zip(answers);
    answers
        .map(|(permission, answer)| match answer {
            Some(true) => permission.given(),
            Some(false) => permission.missing(to, &mut named),
            None => permission.unsure("the workspace does not say"),
        })
        .collect()
}

fn taken(name: Option<&str>) -> Check {
    match name {
        Some(name) => {
            Check::new("workspace", Mark::Ok, format!("`{name}` takes the token")).fact("name", name)
        }
        None => Check::new("workspace", Mark::Ok, "takes the token"),
    }
}

/// Makes the check that a failed call is.
fn failed(name: &'static str, failure: &CallFailure) -> Check {
    Check::new(name, Mark::Fail(exit_of(failure).code()), failure.to_string())
        .next(failure.hint().unwrap_or("try again in a while; https://status.azure.com tells of outages"))
}

fn skipped(name: &'static str, why: &str) -> Check {
    Check::new(name, Mark::Skipped, why)
}

/// Finds the workspace's name in the words with which it refuses: `... Scope: workspaces/NAME/*.`
fn name_in_refusal(message: &str) -> Option<&str> {
    let rest = message.split_once("Scope: workspaces/")?.1;
    let name = rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::name_in_refusal;

    #[test]
    fn finds_the_name_in_a_refusal() {
        let check =
            |message: &str, want: Option<&str>| assert_eq!(name_in_refusal(message), want, "{message}");
        check(
            "Action: Microsoft.Synapse/workspaces/read, Scope: workspaces/contoso-dw/*.",
            Some("contoso-dw"),
        );
        check("Action: x, Scope: workspaces/contoso.", Some("contoso"));
        check("Scope: workspaces/*", None);
        check("no", None);
    }
}
