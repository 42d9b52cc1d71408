"""Synapse roles, through the vendor's access control client."""

import base64
import json
import uuid

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.synapse.accesscontrol.models import RequiredAction, SubjectInfo

from checks import equal, holds, refused, true, wrapped
from emulator import SCOPE, Emulator

ADMINISTRATOR = "6e4bf58a-b8e1-4cc3-bbf9-d73143322b78"
CREDENTIAL_USER = "5eb298b4-692c-4241-9cf0-f58a3b42bb25"
PREFIX = "Microsoft.Synapse/workspaces"
EVERYTHING = (
    "read",
    "artifacts/read",
    "pipelines/viewOutputs/action",
    "cancelPipelineRun/action",
    "credentials/useSecret/action",
)


def role_definitions(world):
    """the roles are a bare list with the service's ids and permissions"""
    roles = {role.name: role for role in world.access.role_definitions.list_role_definitions()}
    equal("id", roles["Synapse Administrator"].id, ADMINISTRATOR)
    equal("id", roles["Synapse Credential User"].id, CREDENTIAL_USER)
    true("as many as recorded", len(roles) >= 11)
    actions = {action for one in roles["Synapse Contributor"].permissions for action in one.data_actions}
    true("a Contributor may cancel", f"{PREFIX}/cancelPipelineRun/action" in actions)
    true("a Contributor may not use secrets", f"{PREFIX}/credentials/useSecret/action" not in actions)


def one_role_definition(world):
    """one role is read by its id, and an unknown one is not found"""
    role = world.access.role_definitions.get_role_definition_by_id(CREDENTIAL_USER)
    equal("name", role.name, "Synapse Credential User")
    equal("isBuiltIn", role.is_built_in, True)
    refused(
        lambda: world.access.role_definitions.get_role_definition_by_id(str(uuid.uuid4())), ResourceNotFoundError
    )


def scopes(world):
    """the scopes are a bare list of patterns"""
    found = world.access.role_definitions.list_scopes()
    true(f"the workspace's and a credential's: {found}", "workspaces/{workspaceName}" in found)
    true("a credential's", any("/credentials/" in scope for scope in found))


def own_assignment(world):
    """the caller's role is among the assignments, and the list ends"""
    headers = []
    found = world.access.role_assignments.list_role_assignments(
        role_id=ADMINISTRATOR, cls=lambda answer, body, head: headers.append(head) or body
    )
    equal("count", found.count, len(found.value))
    equal("role", [one.role_definition_id for one in found.value], [ADMINISTRATOR])
    equal("scope", found.value[0].scope, _workspace(world))
    equal("x-ms-continuation", headers[0]["x-ms-continuation"] or "", "")


def grant_and_revoke(world):
    """an assignment is made, read, found by filter, and taken away"""
    assignment, somebody = str(uuid.uuid4()), str(uuid.uuid4())
    assignments = world.access.role_assignments
    made = assignments.create_role_assignment(assignment, CREDENTIAL_USER, somebody, _workspace(world))
    equal("made", (made.id, made.role_definition_id, made.principal_id), (assignment, CREDENTIAL_USER, somebody))
    equal("read", assignments.get_role_assignment_by_id(assignment).principal_id, somebody)
    below = f"{_workspace(world)}/credentials/WorkspaceSystemIdentity"
    found = assignments.list_role_assignments(principal_id=somebody, scope=below)
    equal("it applies below its scope", [one.id for one in found.value], [assignment])
    equal("somebody else has none", assignments.list_role_assignments(principal_id=str(uuid.uuid4())).value, [])
    equal("may", _may(world, somebody, "credentials/useSecret/action"), {"credentials/useSecret/action": True})
    equal("result of the delete", assignments.delete_role_assignment_by_id(assignment), None)
    error = refused(lambda: assignments.get_role_assignment_by_id(assignment), ResourceNotFoundError)
    wrapped(error, 404, "RoleAssignmentNotFound", "RoleAssignmentNotFound")
    may = _may(world, somebody, "credentials/useSecret/action")
    equal("may no more", may, {"credentials/useSecret/action": False})


def may_i(world):
    """the caller is told what it may, action by action"""
    caller = _caller(world)
    equal("the administrator", _may(world, caller, *EVERYTHING), dict.fromkeys(EVERYTHING, True))
    equal("a stranger", _may(world, str(uuid.uuid4()), *EVERYTHING), dict.fromkeys(EVERYTHING, False))


def missing_role(world):
    """without the role a call is a wrapped 403 Unauthorized that names action and scope, and nothing starts"""
    with Emulator("contributor") as reader:
        name = reader.client.workspace.get().name
        error = refused(lambda: reader.client.pipeline.create_pipeline_run("load"), HttpResponseError)
        wrapped(error, 403, "Unauthorized", "does not have the required Synapse RBAC permission")
        action = f"Action: {PREFIX}/credentials/useSecret/action"
        holds("message", error.error.message, _caller(reader), action)
        holds("message", error.error.message, f"Scope: workspaces/{name}/credentials/WorkspaceSystemIdentity.")
        equal("accepted", reader.record()["runs"], [])
        error = refused(
            lambda: reader.access.role_assignments.create_role_assignment(
                str(uuid.uuid4()), CREDENTIAL_USER, _caller(reader), f"workspaces/{name}"
            ),
            HttpResponseError,
        )
        wrapped(error, 403, "Unauthorized", f"{PREFIX}/roleAssignments/write")
        true("what is allowed still works", len(list(reader.client.pipeline.get_pipelines_by_workspace())) > 3)
        may = _may(reader, _caller(reader), *EVERYTHING)
        equal("and it is told so beforehand", may, {**dict.fromkeys(EVERYTHING, True), EVERYTHING[-1]: False})


def _workspace(world):
    return f"workspaces/{world.client.workspace.get().name}"


def _caller(world):
    """Returns the caller's object id, as its token has it."""
    part = world.credential.get_token(SCOPE).token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["oid"]


def _may(world, principal, *actions):
    answer = world.access.role_assignments.check_principal_access(
        subject=SubjectInfo(principal_id=principal),
        actions=[RequiredAction(id=f"{PREFIX}/{action}", is_data_action=True) for action in actions],
        scope=_workspace(world),
    )
    words = {"Allowed": True, "NotAllowed": False}
    decisions = {one.action_id.removeprefix(f"{PREFIX}/"): one for one in answer.access_decisions}
    for action, one in decisions.items():
        true(f"{action}: an assignment says why", (one.role_assignment is not None) == words[one.access_decision])
    return {action: words[one.access_decision] for action, one in decisions.items()}
