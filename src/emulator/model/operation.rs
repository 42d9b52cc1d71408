//! Which call a method and a path mean.

use serde::{Deserialize, Serialize};

use super::message::{Request, segment};

/// A call of the service, under the name that scripts and records use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// POST `/pipelines/{name}/createRun`
    CreateRun,
    /// GET `/pipelineruns/{id}`
    GetRun,
    /// POST `/pipelineruns/{id}/cancel`
    CancelRun,
    /// POST `/queryPipelineRuns`
    QueryPipelineRuns,
    /// POST `/pipelines/{name}/pipelineruns/{id}/queryActivityruns`
    #[serde(alias = "queryActivityruns")]
    QueryActivityRuns,
    /// GET `/pipelines`
    ListPipelines,
    /// GET `/pipelines/{name}`
    GetPipeline,
    /// PUT `/pipelines/{name}`
    PutPipeline,
    /// DELETE `/pipelines/{name}`
    DeletePipeline,
    /// POST `/pipelines/{name}/rename`
    RenamePipeline,
    /// GET `/operationResults/{id}`
    OperationResult,
    /// GET `/triggers`
    ListTriggers,
    /// GET `/triggers/{name}`
    GetTrigger,
    /// POST `/queryTriggerRuns`
    QueryTriggerRuns,
    /// POST `/checkAccessSynapseRbac`
    CheckAccess,
    /// GET `/roleDefinitions`
    ListRoleDefinitions,
    /// GET `/roleDefinitions/{id}`
    GetRoleDefinition,
    /// GET `/rbacScopes`
    ListRbacScopes,
    /// GET `/roleAssignments`
    ListRoleAssignments,
    /// GET `/roleAssignments/{id}`
    GetRoleAssignment,
    /// PUT `/roleAssignments/{id}`
    PutRoleAssignment,
    /// DELETE `/roleAssignments/{id}`
    DeleteRoleAssignment,
    /// GET `/workspace`
    GetWorkspace,
    /// POST `/{tenant}/oauth2/token` and `/{tenant}/oauth2/v2.0/token`
    Token,
    /// GET of what a sign-in library asks before it asks for a token
    Discovery,
    /// GET `/metadata/identity/oauth2/token` and `/msi/token`
    ManagedIdentity,
    /// GET `/keyvault/{vault}/secrets/{name}` and `/secrets/{name}`, with a version or without
    GetSecret,
    /// GET `/_emulator/record`
    Record,
    /// Everything else
    Unknown,
}

/// A call with the names its path holds, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) operation: Operation,
    /// The pipeline, trigger, tenant or vault.
    pub(super) name: String,
    /// The run, operation, assignment or secret.
    pub(super) id: String,
}

/// Finds the call. Literal parts of a path are compared without case; names are not touched.
pub(super) fn target(request: &Request) -> Target {
    let parts: Option<Vec<String>> = request.path.trim_matches('/').split('/').map(segment).collect();
    let unknown = Target { operation: Operation::Unknown, name: String::new(), id: String::new() };
    let Some(parts) = parts else { return unknown };
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let part = |at: usize| parts.get(at).cloned().unwrap_or_default();
    let found = |operation| Target { operation, ..unknown.clone() };
    let named = |operation| Target { operation, name: part(1), id: String::new() };
    let with_id = |operation| Target { operation, name: String::new(), id: part(1) };

    match (request.method.as_str(), lower.as_slice()) {
        ("POST", ["pipelines", _, "createrun"]) => named(Operation::CreateRun),
        ("GET", ["pipelineruns", _]) => with_id(Operation::GetRun),
        ("POST", ["pipelineruns", _, "cancel"]) => with_id(Operation::CancelRun),
        ("POST", ["querypipelineruns"]) => found(Operation::QueryPipelineRuns),
        ("POST", ["pipelines", _, "pipelineruns", _, "queryactivityruns"]) => {
            Target { id: part(3), ..named(Operation::QueryActivityRuns) }
        }
        ("GET", ["pipelines"]) => found(Operation::ListPipelines),
        ("GET", ["pipelines", _]) => named(Operation::GetPipeline),
        ("PUT", ["pipelines", _]) => named(Operation::PutPipeline),
        ("DELETE", ["pipelines", _]) => named(Operation::DeletePipeline),
        ("POST", ["pipelines", _, "rename"]) => named(Operation::RenamePipeline),
        ("GET", ["operationresults", _]) => with_id(Operation::OperationResult),
        ("GET", ["triggers"]) => found(Operation::ListTriggers),
        ("GET", ["triggers", _]) => named(Operation::GetTrigger),
        ("POST", ["querytriggerruns"]) => found(Operation::QueryTriggerRuns),
        ("POST", ["checkaccesssynapserbac"]) => found(Operation::CheckAccess),
        ("GET", ["roledefinitions"]) => found(Operation::ListRoleDefinitions),
        ("GET", ["roledefinitions", _]) => with_id(Operation::GetRoleDefinition),
        ("GET", ["rbacscopes"]) => found(Operation::ListRbacScopes),
        ("GET", ["roleassignments"]) => found(Operation::ListRoleAssignments),
        ("GET", ["roleassignments", _]) => with_id(Operation::GetRoleAssignment),
        ("PUT", ["roleassignments", _]) => with_id(Operation::PutRoleAssignment),
        ("DELETE", ["roleassignments", _]) => with_id(Operation::DeleteRoleAssignment),
        ("GET", ["workspace"]) => found(Operation::GetWorkspace),
        ("GET", ["secrets", _] | ["secrets", _, _]) => {
            Target { operation: Operation::GetSecret, name: String::new(), id: parts[1..].join("/") }
        }
        ("GET", ["keyvault", _, "secrets", _] | ["keyvault", _, "secrets", _, _]) => {
            Target { operation: Operation::GetSecret, name: part(1), id: parts[3..].join("/") }
        }
        ("GET", ["_emulator", "record"]) => found(Operation::Record),
        ("GET", ["metadata", "identity", "oauth2", "token"] | ["msi", "token"]) => {
            found(Operation::ManagedIdentity)
        }
        ("POST", [_, "oauth2", "token"] | [_, "oauth2", "v2.0", "token"]) => {
            Target { operation: Operation::Token, name: part(0), id: String::new() }
        }
        (
            "GET",
            ["common", "discovery", "instance"]
            | [_, ".well-known", "openid-configuration"]
            | [_, "v2.0", ".well-known", "openid-configuration"],
        ) => Target { operation: Operation::Discovery, name: part(0), id: String::new() },
        _ => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, target};
    use crate::emulator::model::Request;

    #[test]
    fn finds_the_call() {
        let check = |method: &str, path: &str, want: Operation, name: &str, id: &str| {
            let found = target(&Request::new(method, path));
            assert_eq!((found.operation, found.name.as_str(), found.id.as_str()), (want, name, id), "{path}");
        };
        check("POST", "/pipelines/Pipeline%201/createRun", Operation::CreateRun, "Pipeline 1", "");
        check("GET", "/pipelineRuns/x", Operation::GetRun, "", "x");
        check(
            "POST",
            "/pipelines/p/pipelineruns/r/queryActivityruns",
            Operation::QueryActivityRuns,
            "p",
            "r",
        );
        check("POST", "/t/oauth2/v2.0/token", Operation::Token, "t", "");
        check("GET", "/keyvault/kv/secrets/key", Operation::GetSecret, "kv", "key");
        check("GET", "/keyvault/kv/secrets/key/", Operation::GetSecret, "kv", "key");
        check("GET", "/secrets/key/0123", Operation::GetSecret, "", "key/0123");
        check("PATCH", "/pipelines/p", Operation::Unknown, "", "");
        check("GET", "/pipelines/%ff", Operation::Unknown, "", "");
        check("GET", "/", Operation::Unknown, "", "");
    }
}
