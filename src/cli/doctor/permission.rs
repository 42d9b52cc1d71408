//! What a runner must be allowed to do, and who could allow it (protocol 8).

use crate::cli::failure::Exit;
use crate::report::checkup::{Check, Mark};
use crate::synapse::{CallFailure, SynapseClient};

/// What all of the service's actions begin with.
const PREFIX: &str = "Microsoft.Synapse/workspaces/";

/// The part of a workspace that holds its own identity, which every run uses.
const SYSTEM_IDENTITY: &str = "credentials/WorkspaceSystemIdentity";

/// One thing that a runner must be allowed to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    /// The service's word for it, without what all of them begin with.
    pub(super) action: &'static str,
    /// Where below the workspace; empty for the workspace itself.
    below: &'static str,
    /// What for.
    purpose: &'static str,
    /// The role with the fewest other rights that has it, by the service's own list (protocol 8.2).
    role: &'static str,
}

/// All of them, in the order in which a flow needs them.
pub(super) const PERMISSIONS: [Permission; 5] = [
    Permission { action: "read", below: "", purpose: "to see runs", role: "Synapse User" },
    Permission {
        action: "artifacts/read",
        below: "",
        purpose: "to read the definitions of pipelines",
        role: "Synapse Artifact User",
    },
    Permission {
        action: "credentials/useSecret/action",
        below: SYSTEM_IDENTITY,
        purpose: "to start runs",
        role: "Synapse Credential User",
    },
    Permission {
        action: "pipelines/viewOutputs/action",
        below: "",
        purpose: "to read activities and outputs",
        role: "Synapse Artifact User",
    },
    Permission {
        action: "cancelPipelineRun/action",
        below: "",
        purpose: "to cancel runs",
        role: "Synapse Compute Operator",
    },
];

/// Asks the service about all of them, one answer each; nothing where it leaves one out.
///
/// Fails if the service does not answer, or not us.
pub(super) async fn ask(
    client: &SynapseClient,
    principal: &str,
    workspace: &str,
) -> Result<Vec<Option<bool>>, CallFailure> {
    let mut answers = vec![None; PERMISSIONS.len()];
    for below in ["", SYSTEM_IDENTITY] {
        let scope = match below {
            "" => format!("workspaces/{workspace}"),
            below => format!("workspaces/{workspace}/{below}"),
        };
        let places = || (0..PERMISSIONS.len()).filter(|place| PERMISSIONS[*place].below == below);
        let actions: Vec<String> =
            places().map(|place| format!("{PREFIX}{}", PERMISSIONS[place].action)).collect();
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let told = client.check_access(principal, &actions, &scope).await?;
        for (place, is_allowed) in places().zip(told) {
            answers[place] = is_allowed;
        }
    }
    Ok(answers)
}

/// Whom a role would be given to, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grantee<'a> {
    pub(super) principal: Option<&'a str>,
    pub(super) workspace: Option<&'a str>,
}

/// What the reader was told to give so far.
#[derive(Clone, Debug)]
pub(super) struct Named {
    roles: Vec<&'static str>,
    /// Whether there is more to come.
    is_more: bool,
}

impl Named {
    /// Begins with nothing; `is_more` says whether more than one permission is missing.
    pub(super) const fn new(is_more: bool) -> Self {
        Self { roles: Vec::new(), is_more }
    }
}

impl Permission {
    /// Makes the check of a permission that is there.
    pub(super) fn given(&self) -> Check {
        self.check(Mark::Ok, "", "")
    }

    /// Makes the check of a permission that nobody can tell of.
    pub(super) fn unsure(&self, why: &str) -> Check {
        self.check(Mark::Skipped, "", &format!(": {why}"))
    }

    /// Makes the check of a permission that is not there.
    pub(super) fn missing(&self, to: &Grantee<'_>, named: &mut Named) -> Check {
        let role = self.role;
        let check = self.check(Mark::Fail(Exit::Denied.code()), "not given: ", "");
        let check = if self.below == SYSTEM_IDENTITY {
            check.detail("`Synapse Contributor` and `Synapse Compute Operator` do not hold it")
        } else {
            check
        };
        if self.action == "read" && named.is_more {
            return check.next("it comes with each of the roles named below");
        }
        if named.roles.contains(&role) {
            return check.next(format!("it comes with `{role}`, named above"));
        }
        named.roles.push(role);
        let check = check.next(format!(
            "give the role `{role}`: in Synapse Studio, Manage > Access control > Add, scope Workspace"
        ));
        match to {
            Grantee { principal: Some(principal), workspace: Some(workspace) } => check.next(format!(
                "az synapse role assignment create --workspace-name {workspace} --role \"{role}\" --assignee-object-id {principal}"
            )),
            _ => check,
        }
    }

    fn check(&self, mark: Mark, before: &str, after: &str) -> Check {
        let found = format!("{before}{} (`{}`){after}", self.purpose, self.action);
        let action = format!("{PREFIX}{}", self.action);
        Check::new("permission", mark, found).fact("action", action).fact("role", self.role)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{PERMISSIONS, PREFIX};

    /// The recorded list of roles decides, not our memory of it.
    #[test]
    fn names_the_role_with_the_fewest_rights() {
        let roles: Value =
            serde_json::from_str(include_str!("../../emulator/model/roles.json")).expect("JSON");
        let roles = roles.as_array().expect("a list");
        let actions = |role: &Value| -> Vec<String> {
            let permissions = role["permissions"].as_array().expect("a list").iter();
            let actions = permissions.filter_map(|it| it["dataActions"].as_array()).flatten();
            actions.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for permission in PERMISSIONS {
            let action = format!("{PREFIX}{}", permission.action);
            let holders = roles.iter().filter(|role| actions(role).contains(&action));
            let fewest = holders.min_by_key(|role| actions(role).len()).expect("some role holds it");
            assert_eq!(fewest["name"], permission.role, "{action}");
            assert_eq!(crate::report::remedy::role_for(permission.action), Some(permission.role), "{action}");
        }
    }
}
