"""Pipeline definitions: list, read, write, rename and delete, through the vendor's pollers."""

import json

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.synapse.artifacts.models import (
    ActivityDependency,
    ParameterSpecification,
    PipelineResource,
    WaitActivity,
)

from checks import equal, flat, holds, refused, true, wrapped


def list_by_pages(world):
    """the list comes in pages joined by nextLink, each pipeline once"""
    pages = [list(page) for page in world.client.pipeline.get_pipelines_by_workspace().by_page()]
    names = [pipeline.name for page in pages for pipeline in page]
    equal("each name once", sorted(set(names)), sorted(names))
    equal("sizes of all pages but the last", [len(page) for page in pages[:-1]], [3] * (len(pages) - 1))
    true(f"more than one page: {len(pages)}", len(pages) > 1)
    for name in ("load", "chain", "Pipeline 1 für Köln"):
        true(f"{name} is in the list", name in names)


def read(world):
    """a definition has id, name, type, etag and its typed properties"""
    found = world.client.pipeline.get_pipeline("load")
    equal("name", found.name, "load")
    equal("type", found.type, "Microsoft.Synapse/workspaces/pipelines")
    true(f"id ends with the path: {found.id!r}", found.id.endswith("/pipelines/load"))
    true("an etag", found.etag)
    equal("activities", [activity.name for activity in found.activities], ["Copy_Region", "Pause"])
    equal("class of Wait", type(found.activities[1]), WaitActivity)
    equal("dependency", found.activities[1].depends_on[0].activity, "Copy_Region")
    equal("type of a parameter", found.parameters["files"].type, "Array")
    equal("default of a parameter", found.parameters["ratio"].default_value, 0.5)
    equal("annotations", found.annotations, ["bronze"])


def read_name_with_blanks(world):
    """a name with blanks and an umlaut is found under its encoded path"""
    found = world.client.pipeline.get_pipeline("Pipeline 1 für Köln")
    equal("name", found.name, "Pipeline 1 für Köln")


def read_unchanged(world):
    """If-None-Match with the etag gives 304, with another one the definition"""
    etag = world.client.pipeline.get_pipeline("load").etag
    same = world.client.pipeline.get_pipeline("load", if_none_match=etag)
    equal("what the SDK makes of a 304", same, None)
    other = world.client.pipeline.get_pipeline("load", if_none_match="another")
    true("the definition again", other is not None and other.name == "load")


def read_unknown(world):
    """an unknown pipeline is a flat 404"""
    error = refused(lambda: world.client.pipeline.get_pipeline("nowhere"), ResourceNotFoundError)
    flat(error, 404, "PipelineNotFound", "The Pipeline nowhere was not found in (subscription=", "workspace=")


def write_and_read_back(world):
    """a new pipeline is written by a long-running operation and read back whole"""
    made = _write(world, "written", description="first")
    equal("what the poller returns", made.name, "written")
    true("its etag", made.etag)
    found = world.client.pipeline.get_pipeline("written")
    equal("etag", found.etag, made.etag)
    equal("description", found.description, "first")
    equal("activities", [activity.name for activity in found.activities], ["First", "Second"])
    equal("wait", found.activities[0].wait_time_in_seconds, 2)
    equal("dependency", found.activities[1].depends_on[0].dependency_conditions, ["Succeeded"])
    equal("parameter", found.parameters["day"].default_value, "2026-11-24")
    equal("concurrency", found.concurrency, 2)


def write_answers_as_recorded(world):
    """a write answers 202 with Location and its record, and the operation is InProgress until it is done"""
    answers = []
    poller = world.client.pipeline.begin_create_or_update_pipeline(
        "traced", PipelineResource(activities=[]), raw_response_hook=lambda answer: answers.append(answer.http_response)
    )
    poller.result(timeout=20)
    first, last = answers[0], answers[-1]
    equal("status", first.status_code, 202)
    holds("Location", first.headers.get("Location"), f"{world.endpoint}/operationResults/", "api-version=2020-12-01")
    true("Retry-After is there", first.headers.get("Retry-After", "").isdigit())
    body = _json(first)
    members = {"id", "recordId", "state", "created", "changed", "type", "name", "operationId", "artifactId"}
    equal("members", set(body), members)
    equal("state", body["state"], "Creating")
    equal("type", body["type"], "Pipeline")
    for answer in answers[1:-1]:
        equal("status while it goes on", answer.status_code, 202)
        equal("body while it goes on", _json(answer), {"status": "InProgress"})
    equal("last status", last.status_code, 200)
    equal("last body", _json(last)["name"], "traced")


def overwrite(world):
    """a second write changes the definition and its etag"""
    before = _write(world, "changed", description="first").etag
    _write(world, "changed", description="second")
    found = world.client.pipeline.get_pipeline("changed")
    equal("description", found.description, "second")
    true("another etag", found.etag != before)
    again = world.client.pipeline.get_pipeline("changed", if_none_match=before)
    true("the old etag no longer gives 304", again is not None)


def overwrite_only_if_unchanged(world):
    """If-Match lets a write through with the etag, and refuses it with an old one"""
    etag = _write(world, "guarded", description="first").etag
    _write(world, "guarded", if_match=etag, description="second")
    error = refused(lambda: _write(world, "guarded", if_match=etag, description="third"))
    equal("status", error.status_code, 412)
    equal("description", world.client.pipeline.get_pipeline("guarded").description, "second")


def written_pipeline_runs(world):
    """a pipeline just written can be started"""
    _write(world, "started", description="runs")
    run = world.client.pipeline.create_pipeline_run("started")
    equal("pipeline", world.client.pipeline_run.get_pipeline_run(run.run_id).pipeline_name, "started")


def name_the_service_refuses(world):
    """a name that the service does not take is refused"""
    for name in (".hidden", "a<b"):
        error = refused(lambda: _write(world, name, description="no"))
        equal(f"status for {name!r}", error.status_code, 400)


def rename(world):
    """a rename keeps the definition under the new name only"""
    _write(world, "before", description="kept")
    equal("what the poller returns", world.client.pipeline.begin_rename_pipeline("before", "after").result(20), None)
    refused(lambda: world.client.pipeline.get_pipeline("before"), ResourceNotFoundError)
    equal("description", world.client.pipeline.get_pipeline("after").description, "kept")


def rename_unknown(world):
    """an unknown pipeline cannot be renamed"""
    error = refused(lambda: world.client.pipeline.begin_rename_pipeline("nowhere", "x"), ResourceNotFoundError)
    flat(error, 404, "PipelineNotFound", "nowhere")


def rename_onto_another(world):
    """a rename onto a pipeline that exists is refused"""
    _write(world, "taken", description="stays")
    refused(lambda: world.client.pipeline.begin_rename_pipeline("load", "taken").result(20), ResourceExistsError)
    equal("description", world.client.pipeline.get_pipeline("taken").description, "stays")


def delete(world):
    """a deleted pipeline is gone, from the list too"""
    _write(world, "doomed", description="goes")
    answers = []
    poller = world.client.pipeline.begin_delete_pipeline(
        "doomed", raw_response_hook=lambda answer: answers.append(answer.http_response)
    )
    poller.result(timeout=20)
    equal("first status", answers[0].status_code, 202)
    true("no Retry-After on a delete", "Retry-After" not in answers[0].headers)
    body = _json(answers[0])
    equal("state", body["state"], "Deleting")
    equal("created", body["created"], "0001-01-01T00:00:00")
    equal("recordId", body["recordId"], 0)
    equal("last status and body", (answers[-1].status_code, answers[-1].text()), (200, ""))
    refused(lambda: world.client.pipeline.get_pipeline("doomed"), ResourceNotFoundError)
    names = [pipeline.name for pipeline in world.client.pipeline.get_pipelines_by_workspace()]
    true("not in the list", "doomed" not in names)
    refused(lambda: world.client.pipeline.create_pipeline_run("doomed"), ResourceNotFoundError)


def delete_unknown(world):
    """deleting what is not there is no error"""
    equal("result", world.client.pipeline.begin_delete_pipeline("nowhere").result(20), None)


def triggers(world):
    """triggers are listed, and an unknown one is a flat 404"""
    equal("triggers", list(world.client.trigger.get_triggers_by_workspace()), [])
    error = refused(lambda: world.client.trigger.get_trigger("nowhere"), ResourceNotFoundError)
    flat(error, 404, "TriggerNotFound", "The Trigger nowhere was not found in (subscription=")


def workspace(world):
    """the workspace says its name and type"""
    found = world.client.workspace.get()
    true("a name", found.name)
    equal("type", found.type.lower(), "microsoft.synapse/workspaces")
    true(f"id ends with the name: {found.id!r}", found.id.endswith(f"/workspaces/{found.name}"))


def doubled_api_version(world):
    """a doubled api-version is refused with a message that names it, encoded or not"""
    by_option = refused(lambda: world.client.workspace.get(api_version="api-version=2020-12-01"), HttpResponseError)
    wrapped(by_option, 400, by_option.error.code, "api-version=2020-12-01")
    answer = _raw(world, "/pipelines?api-version=api-version=2020-12-01")
    equal("status", answer.status_code, 400)
    holds("body", answer.text(), "'api-version=2020-12-01'")


def other_api_versions(world):
    """a missing or unknown api-version is refused, and the preview is served"""
    equal("status without", _raw(world, "/pipelines").status_code, 400)
    unknown = _raw(world, "/pipelines?api-version=2018-06-01")
    equal("status of an unknown one", unknown.status_code, 400)
    holds("body", unknown.text(), "2018-06-01", "2020-12-01")
    equal("status of the preview", _raw(world, "/pipelines?api-version=2019-06-01-preview").status_code, 200)


def request_id_comes_back(world):
    """the caller's request id is echoed when asked for, and every answer has ids of its own"""
    answer = _raw(
        world,
        "/workspace?api-version=2020-12-01",
        {"x-ms-client-request-id": "abc-1", "x-ms-return-client-request-id": "true"},
    )
    equal("status", answer.status_code, 200)
    equal("echo", answer.headers.get("x-ms-client-request-id"), "abc-1")
    true("x-ms-request-id", answer.headers.get("x-ms-request-id"))
    true("x-ms-correlation-request-id", answer.headers.get("x-ms-correlation-request-id"))
    quiet = _raw(world, "/workspace?api-version=2020-12-01", {"x-ms-client-request-id": "abc-2"})
    equal("no echo", quiet.headers.get("x-ms-client-request-id"), None)


def _write(world, name, if_match=None, description=None):
    wait = WaitActivity(name="First", wait_time_in_seconds=2)
    after = ActivityDependency(activity="First", dependency_conditions=["Succeeded"])
    pipeline = PipelineResource(
        description=description,
        activities=[wait, WaitActivity(name="Second", wait_time_in_seconds=1, depends_on=[after])],
        parameters={"day": ParameterSpecification(type="String", default_value="2026-11-24")},
        concurrency=2,
    )
    poller = world.client.pipeline.begin_create_or_update_pipeline(name, pipeline, if_match=if_match)
    return poller.result(timeout=20)


def _raw(world, path, headers=None):
    return world.client._send_request(HttpRequest("GET", world.endpoint + path, headers=headers))


def _json(answer):
    return json.loads(answer.text())
