//! Synapse RBAC: roles as the service lists them, who holds them here, and what each call needs.
//!
//! `roles.json` is the recorded list of github.com/Azure/azure-cli (MIT), descriptions left out.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Workspace;
use super::generator::Generator;
use super::identity::OBJECT_ID;
use super::message::{Answer, Request};
use super::operation::{Operation, Target};
use crate::emulator::model::script;

const PREFIX: &str = "Microsoft.Synapse/workspaces/";
const SCOPES: [&str; 6] = [
    "workspaces/{workspaceName}",
    "workspaces/{workspaceName}/bigDataPools/{bigDataPoolName}",
    "workspaces/{workspaceName}/scopePools/{scopePoolName}",
    "workspaces/{workspaceName}/integrationRuntimes/{integrationRuntimeName}",
    "workspaces/{workspaceName}/credentials/{credentialName}",
    "workspaces/{workspaceName}/linkedServices/{linkedServiceName}",
];

/// The recorded list, read once for all workspaces: simulations make thousands of them.
static ROLES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("roles.json")).expect("the file is part of the program")
});

/// Roles and who holds them.
#[derive(Debug)]
pub(super) struct Access {
    roles: &'static [Value],
    assignments: Vec<Assignment>,
    denied: Vec<String>,
}

#[derive(Clone, Debug)]
struct Assignment {
    id: String,
    role_id: String,
    principal_id: String,
    scope: String,
}

impl Access {
    /// Returns the access a script describes: the caller's roles at the workspace.
    pub(super) fn new(script: &script::Access, workspace: &Workspace, ids: &mut Generator) -> Self {
        let mut access = Self { roles: &ROLES, assignments: Vec::new(), denied: Vec::new() };
        for name in &script.roles {
            let role = access.roles.iter().find(|role| role["name"] == name.as_str());
            let role_id = role.and_then(|role| role["id"].as_str()).unwrap_or_default().to_owned();
            let principal_id = OBJECT_ID.to_owned();
            let scope = format!("workspaces/{}", workspace.name);
            access.assignments.push(Assignment { id: ids.guid(), role_id, principal_id, scope });
        }
        access.denied =
            script.deny.iter().map(|action| action.trim_start_matches(PREFIX).to_owned()).collect();
        access
    }

    /// Refuses a call for want of a permission, in the recorded words. Returns nothing if the caller may.
    pub(super) fn refusal(
        &self,
        operation: Operation,
        principal: &str,
        workspace: &Workspace,
    ) -> Option<Answer> {
        let (action, at) = needed(operation)?;
        let scope = format!("workspaces/{}", workspace.name);
        let scope = if at.is_empty() { scope } else { format!("{scope}/{at}") };
        if self.assignment_for(principal, action, &scope).is_some() {
            return None;
        }
        let shown = if at.is_empty() { format!("{scope}/*") } else { scope };
        let message = format!(
            "The principal '{principal}' does not have the required Synapse RBAC permission to perform this action. \
             Required permission: Action: {PREFIX}{action}, Scope: {shown}."
        );
        Some(Answer::wrapped_error(403, "Unauthorized", &message))
    }

    /// Answers a call about roles.
    pub(super) fn answer(&mut self, request: &Request, target: &Target) -> Answer {
        match target.operation {
            Operation::ListRoleDefinitions => Answer::json(200, &Value::Array(self.roles.to_vec())),
            Operation::GetRoleDefinition => {
                match self.roles.iter().find(|role| role["id"] == target.id.as_str()) {
                    Some(role) => Answer::json(200, role),
                    None => Answer::wrapped_error(404, "RoleDefinitionNotFound", "RoleDefinitionNotFound"),
                }
            }
            Operation::ListRbacScopes => Answer::json(200, &json!(SCOPES)),
            Operation::ListRoleAssignments => self.list(request),
            Operation::GetRoleAssignment => match self.assignments.iter().find(|known| known.id == target.id)
            {
                Some(assignment) => Answer::json(200, &assignment.json()),
                None => no_assignment(),
            },
            Operation::PutRoleAssignment => self.put(request, &target.id),
            Operation::DeleteRoleAssignment => {
                self.assignments.retain(|known| known.id != target.id);
                Answer::empty(204)
            }
            _ => self.check_access(request),
        }
    }

    fn list(&self, request: &Request) -> Answer {
        let wanted = |name: &str| request.query_member(name).filter(|value| !value.is_empty());
        let (role, principal, scope) = (wanted("roleId"), wanted("principalId"), wanted("scope"));
        let fits = |assignment: &&Assignment| {
            role.as_ref().is_none_or(|role| *role == assignment.role_id)
                && principal.as_ref().is_none_or(|principal| *principal == assignment.principal_id)
                // The filter means "applies to": an assignment above the scope fits.
                && scope.as_ref().is_none_or(|scope| assignment.covers(scope))
        };
        let found: Vec<Value> = self.assignments.iter().filter(fits).map(Assignment::json).collect();
        Answer::json(200, &json!({ "count": found.len(), "value": found }))
            .with_header("x-ms-continuation", "")
    }

    fn put(&mut self, request: &Request, id: &str) -> Answer {
        let body = request.json().ok().flatten().unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let assignment = Assignment {
            id: id.to_owned(),
            role_id: text("roleId"),
            principal_id: text("principalId"),
            scope: text("scope"),
        };
        if assignment.principal_id.is_empty() || assignment.scope.is_empty() {
            return Answer::wrapped_error(400, "BadRequest", "roleId, principalId and scope are required.");
        }
        if !self.roles.iter().any(|role| role["id"] == assignment.role_id.as_str()) {
            return Answer::wrapped_error(404, "RoleDefinitionNotFound", "RoleDefinitionNotFound");
        }
        self.assignments.retain(|known| known.id != id);
        self.assignments.push(assignment.clone());
        Answer::json(200, &assignment.json())
    }

    fn check_access(&self, request: &Request) -> Answer {
        let body = request.json().ok().flatten().unwrap_or(Value::Null);
        let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let (principal, scope) = (text("/subject/principalId"), text("/scope"));
        let Some(actions) = body.get("actions").and_then(Value::as_array).filter(|_| !scope.is_empty())
        else {
            return Answer::wrapped_error(400, "BadRequest", "subject, actions and scope are required.");
        };
        let decisions: Vec<Value> = actions
            .iter()
            .map(|action| {
                let id = action.get("id").and_then(Value::as_str).unwrap_or_default();
                let found = self.assignment_for(principal, id.trim_start_matches(PREFIX), scope);
                let mut decision = json!({
                    "accessDecision": if found.is_some() { "Allowed" } else { "NotAllowed" },
                    "actionId": id,
                });
                if let Some(assignment) = found {
                    decision["roleAssignment"] = assignment.json();
                }
                decision
            })
            .collect();
        Answer::json(200, &json!({ "accessDecisions": decisions }))
    }

    /// Finds the assignment that lets a principal do something somewhere.
    fn assignment_for(&self, principal: &str, action: &str, scope: &str) -> Option<&Assignment> {
        if self.denied.iter().any(|denied| denied.eq_ignore_ascii_case(action)) {
            return None;
        }
        let full = format!("{PREFIX}{action}");
        self.assignments.iter().find(|assignment| {
            let role = self.roles.iter().find(|role| role["id"] == assignment.role_id.as_str());
            let permissions =
                role.and_then(|role| role["permissions"].as_array()).map_or(&[][..], Vec::as_slice);
            let actions =
                permissions.iter().filter_map(|permission| permission["dataActions"].as_array()).flatten();
            assignment.principal_id == principal
                && assignment.covers(scope)
                && actions.filter_map(Value::as_str).any(|known| known.eq_ignore_ascii_case(&full))
        })
    }
}

impl Assignment {
    fn covers(&self, scope: &str) -> bool {
        let rest = scope.strip_prefix(&self.scope);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "roleDefinitionId": self.role_id,
            "principalId": self.principal_id,
            "scope": self.scope,
            "principalType": "ServicePrincipal",
        })
    }
}

/// Returns the action a call needs, and where below the workspace (protocol 8.1).
fn needed(operation: Operation) -> Option<(&'static str, &'static str)> {
    Some(match operation {
        Operation::CreateRun => ("credentials/useSecret/action", "credentials/WorkspaceSystemIdentity"),
        Operation::GetRun
        | Operation::QueryPipelineRuns
        | Operation::QueryTriggerRuns
        | Operation::GetWorkspace => ("read", ""),
        Operation::QueryActivityRuns => ("pipelines/viewOutputs/action", ""),
        Operation::CancelRun => ("cancelPipelineRun/action", ""),
        Operation::ListPipelines
        | Operation::GetPipeline
        | Operation::ListTriggers
        | Operation::GetTrigger => ("artifacts/read", ""),
        Operation::PutPipeline | Operation::RenamePipeline => ("pipelines/write", ""),
        Operation::DeletePipeline => ("pipelines/delete", ""),
        Operation::PutRoleAssignment => ("roleAssignments/write", ""),
        Operation::DeleteRoleAssignment => ("roleAssignments/delete", ""),
        _ => return None,
    })
}

fn no_assignment() -> Answer {
    Answer::wrapped_error(404, "RoleAssignmentNotFound", "RoleAssignmentNotFound")
}
