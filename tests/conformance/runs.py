"""One run at a time: start, read, activities, cancel, rerun."""

import uuid
from datetime import datetime, timedelta, timezone

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.synapse.artifacts.models import RunFilterParameters, RunQueryFilter, RunQueryOrderBy

from checks import equal, flat, holds, refused, true, until, wrapped

ENDED = ("Succeeded", "Failed", "Cancelled")


def start(world):
    """a start answers 202 with the id the SDK sent as its request id"""
    seen = []
    run = world.client.pipeline.create_pipeline_run("load", raw_response_hook=seen.append)
    equal("status", seen[0].http_response.status_code, 202)
    equal("run id", run.run_id, seen[0].http_request.headers["x-ms-client-request-id"])
    equal("accepted", [one["run_id"] for one in world.accepted("load")].count(run.run_id), 1)


def start_ends_well(world):
    """a run goes on to Succeeded, with times that fit together"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)
    equal("status", run.status, "Succeeded")
    equal("message", run.message, "")
    true("runEnd after runStart", run.run_end > run.run_start)
    equal("lastUpdated", run.last_updated, run.run_end)
    took = (run.run_end - run.run_start).total_seconds() * 1000
    true(f"durationInMs {run.duration_in_ms} is the time between: {took}", abs(run.duration_in_ms - took) <= 2)


def queued_run(world):
    """a queued run has a start, no end, no length and no message"""
    run = _read(world, world.client.pipeline.create_pipeline_run("held").run_id)
    equal("status", run.status, "Queued")
    true("runStart", run.run_start is not None)
    equal("runEnd, durationInMs, message", (run.run_end, run.duration_in_ms, run.message), (None, None, None))


def members_of_a_run(world):
    """a run has the members that recordings show, with their types"""
    run_id = world.client.pipeline.create_pipeline_run("load", parameters={"region": "apac"}).run_id
    run = _ended(world, run_id)
    equal("runId", run.run_id, run_id)
    equal("runGroupId", run.run_group_id, run_id)
    equal("pipelineName", run.pipeline_name, "load")
    equal("isLatest", run.is_latest, True)
    invoked = (run.invoked_by.name, run.invoked_by.invoked_by_type)
    equal("invokedBy", invoked, ("Manual", "Manual"))
    equal("length of invokedBy.id", len(run.invoked_by.id), 32)
    more = run.additional_properties
    true(f"id: {more['id']!r}", more["id"].startswith("/SUBSCRIPTIONS/") and more["id"].endswith(run_id))
    equal("annotations", more["annotations"], ["bronze"])
    equal("runDimension", more["runDimension"], {})
    equal("debugRunId", more["debugRunId"], None)


def parameters_of_every_type(world):
    """parameters of every JSON type go in as they are and come back as text"""
    sent = {
        "region": "Köln \"1\"",
        "batch": 42,
        "ratio": 2.5,
        "full": True,
        "files": ["a.csv", 1, None],
        "options": {"deep": {"x": [True]}},
        "note": None,
        "apiKey": "s3cret",
    }
    run = _read(world, world.client.pipeline.create_pipeline_run("load", parameters=sent).run_id)
    true(f"all are text: {run.parameters}", all(isinstance(value, str) for value in run.parameters.values()))
    equal("names", sorted(run.parameters), sorted(sent))
    equal("String", run.parameters["region"], "Köln \"1\"")
    equal("Int", run.parameters["batch"], "42")
    equal("Float", run.parameters["ratio"], "2.5")
    equal("Bool", run.parameters["full"].lower(), "true")
    equal("Array", run.parameters["files"], '["a.csv",1,null]')
    equal("Object", run.parameters["options"], '{"deep":{"x":[true]}}')
    true("a SecureString is never shown", "s3cret" not in str(run.parameters))
    record = next(one for one in world.accepted("load") if one["run_id"] == run.run_id)
    arrived = {name: value for name, value in record["parameters"].items() if name != "apiKey"}
    equal("what arrived", arrived, {name: value for name, value in sent.items() if name != "apiKey"})


def missing_parameter(world):
    """a missing parameter is accepted, and the run fails over it"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("needs").run_id)
    equal("status", run.status, "Failed")
    holds("message", run.message, "The workflow parameter 'JobId' is not found")


def wrapped_parameters(world):
    """parameters wrapped as in a definition are refused, and nothing starts"""
    before = len(world.accepted("load"))
    body = {"parameters": {"region": {"value": "apac"}}}
    error = refused(lambda: world.client.pipeline.create_pipeline_run("load", parameters=body, retry_total=0))
    holds("body", error.response.text(), "Internal error has occurred")
    equal("accepted", len(world.accepted("load")), before)


def name_with_blanks(world):
    """a pipeline with blanks in its name is started, and its run names it"""
    run = world.client.pipeline.create_pipeline_run("Pipeline 1 für Köln")
    run = _ended(world, run.run_id)
    equal("pipelineName", run.pipeline_name, "Pipeline 1 für Köln")
    equal("activities", [row.activity_name for row in _activities(world, run)], ["Pause"])


def start_unknown(world):
    """an unknown pipeline is a flat 404, and nothing starts"""
    before = len(world.record()["runs"])
    error = refused(lambda: world.client.pipeline.create_pipeline_run("nowhere"), ResourceNotFoundError)
    flat(error, 404, "PipelineNotFound", "The Pipeline nowhere was not found in")
    equal("accepted", len(world.record()["runs"]), before)


def repeated_request_id(world):
    """a repeated request id is answered with the old run and starts nothing"""
    wanted = str(uuid.uuid4())
    first = world.client.pipeline.create_pipeline_run("load", request_id=wanted)
    _ended(world, first.run_id)
    again = world.client.pipeline.create_pipeline_run("load", request_id=wanted)
    equal("ids", (first.run_id, again.run_id), (wanted, wanted))
    records = [one for one in world.accepted("load") if one["run_id"] == wanted]
    equal("accepted and repeated", [one["repeats"] for one in records], [1])
    equal("status", _read(world, wanted).status, "Succeeded")


def request_id_without_dashes(world):
    """32 hex digits as a request id give the run the same id with dashes"""
    wanted = uuid.uuid4()
    run = world.client.pipeline.create_pipeline_run("load", request_id=wanted.hex)
    equal("run id", run.run_id, str(wanted))


def request_id_that_is_no_guid(world):
    """a request id that is no GUID gives the run an id of the service's own"""
    run = world.client.pipeline.create_pipeline_run("load", request_id="nightly-1")
    true(f"a GUID: {run.run_id}", uuid.UUID(run.run_id))
    _read(world, run.run_id)


def read_unknown(world):
    """an unknown run is not found"""
    error = refused(lambda: _read(world, str(uuid.uuid4())), ResourceNotFoundError)
    flat(error, 404, "PipelineRunNotFound")


def failed_run(world):
    """a failed run names its activity, and the activity has the error"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("breaks").run_id)
    equal("status", run.status, "Failed")
    equal("message", run.message, "Operation on target Copy_Final failed: the table dbo.sales is not there")
    (row,) = _activities(world, run, filters=[_only("Status", "Failed")])
    equal("activity", row.activity_name, "Copy_Final")
    equal("errorCode", row.error["errorCode"], "2200")
    equal("message of the activity", row.error["message"], "the table dbo.sales is not there")
    equal("target", row.error["target"], "Copy_Final")
    true("failureType", row.error["failureType"])


def activities_of_a_run(world):
    """activity runs have the documented members, and an empty error on success"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)
    rows = _activities(world, run)
    equal("names", [row.activity_name for row in rows], ["Copy_Region", "Pause"])
    equal("types", [row.activity_type for row in rows], ["Copy", "Wait"])
    for row in rows:
        equal("status", row.status, "Succeeded")
        equal("run", (row.pipeline_run_id, row.pipeline_name), (run.run_id, "load"))
        true("activityRunId is a GUID", uuid.UUID(row.activity_run_id))
        true("end not before start", row.activity_run_end >= row.activity_run_start)
        true("durationInMs", row.duration_in_ms >= 0)
        equal("error", (row.error["errorCode"], row.error["message"], row.error["failureType"]), ("", "", ""))
        equal("error.target", row.error["target"], row.activity_name)
        true("input and output are objects", isinstance(row.input, dict) and isinstance(row.output, dict))
        more = set(row.additional_properties)
        wanted = {"retryAttempt", "iterationHash", "userProperties", "recoveryStatus", "executionDetails", "id"}
        true(f"undocumented members: {sorted(wanted - more)} are missing", wanted <= more)
    true("in order", rows[0].activity_run_end <= rows[1].activity_run_start)


def activities_need_a_window(world):
    """a window that misses the run gives an empty list, never an error"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)
    hour = timedelta(hours=1)
    equal("around the run", len(_activities(world, run, run.run_start - hour, run.run_end + hour)), 2)
    equal("before it", _activities(world, run, run.run_start - 2 * hour, run.run_start - hour), [])
    equal("after it", _activities(world, run, run.run_end + hour, run.run_end + 2 * hour), [])


def activities_by_filter(world):
    """activity runs are filtered and ordered by what the spec names"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)

    def names(*filters, order=None):
        return [row.activity_name for row in _activities(world, run, filters=list(filters), order=order)]

    equal("by name", names(_only("ActivityName", "Pause")), ["Pause"])
    equal("by type", names(_only("ActivityType", "Copy")), ["Copy_Region"])
    equal("not by type", names(_only("ActivityType", "Copy", operator="NotEquals")), ["Pause"])
    equal("both", names(_only("ActivityName", "Pause"), _only("ActivityType", "Copy")), [])
    equal("several", names(_only("ActivityType", "Copy", "Wait", operator="In")), ["Copy_Region", "Pause"])
    equal("newest first", names(order=("ActivityRunStart", "DESC")), ["Pause", "Copy_Region"])
    equal("by name, backwards", names(order=("ActivityName", "DESC")), ["Pause", "Copy_Region"])


def cancel(world):
    """a running run is cancelled: 200 and empty at once, Cancelled in the end"""
    run_id = _running(world, "endless").run_id
    seen = []
    equal("result", world.client.pipeline_run.cancel_pipeline_run(run_id, raw_response_hook=seen.append), None)
    equal("status and body", (seen[0].http_response.status_code, seen[0].http_response.text()), (200, ""))
    run = _ended(world, run_id)
    equal("status", run.status, "Cancelled")
    (row,) = _activities(world, run)
    equal("activity", row.status, "Cancelled")


def canceling_lasts(world):
    """a cancel takes a while, and the run is Canceling meanwhile"""
    run_id = _running(world, "lingering").run_id
    world.client.pipeline_run.cancel_pipeline_run(run_id)
    run = _read(world, run_id)
    equal("status", run.status, "Canceling")
    equal("runEnd", run.run_end, None)
    world.client.pipeline_run.cancel_pipeline_run(run_id)
    equal("status after a second cancel", _read(world, run_id).status, "Canceling")


def cancel_finished(world):
    """cancelling a finished run is no error and changes nothing"""
    before = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)
    equal("result", world.client.pipeline_run.cancel_pipeline_run(before.run_id), None)
    after = _read(world, before.run_id)
    equal("status and end", (after.status, after.run_end), ("Succeeded", before.run_end))


def cancel_unknown(world):
    """cancelling an unknown run is a wrapped 400"""
    for run_id in (str(uuid.uuid4()), "no-guid"):
        error = refused(lambda: world.client.pipeline_run.cancel_pipeline_run(run_id), HttpResponseError)
        wrapped(error, 400, "ReferencedPipelineRunNotFound", f"Referenced pipeline run id {run_id} does not exist.")


def cancel_children(world):
    """a recursive cancel reaches the pipelines a run has called"""
    parent = _running(world, "parent")
    child_id = until("the parent has a child", lambda: _child(world, parent))
    child = until("the child runs", lambda: _in_progress(world, child_id))
    equal("parameters of the child", child.parameters, {"day": "2026-11-24"})
    equal("invokedBy", child.invoked_by.invoked_by_type, "PipelineActivity")
    world.client.pipeline_run.cancel_pipeline_run(parent.run_id, is_recursive=True)
    equal("parent", _ended(world, parent.run_id).status, "Cancelled")
    equal("child", _ended(world, child_id).status, "Cancelled")


def cancel_leaves_children(world):
    """a cancel that is not recursive leaves the child running"""
    parent = _running(world, "parent")
    child_id = until("the parent has a child", lambda: _child(world, parent))
    until("the child runs", lambda: _in_progress(world, child_id))
    world.client.pipeline_run.cancel_pipeline_run(parent.run_id, is_recursive=False)
    equal("parent", _ended(world, parent.run_id).status, "Cancelled")
    equal("child", _read(world, child_id).status, "InProgress")


def concurrency(world):
    """a pipeline's concurrency keeps the next run queued until the first has ended"""
    first = _running(world, "single")
    second = world.client.pipeline.create_pipeline_run("single").run_id
    third = _ended(world, world.client.pipeline.create_pipeline_run("load").run_id)
    equal("a run started later has ended", third.status, "Succeeded")
    equal("second", _read(world, second).status, "Queued")
    world.client.pipeline_run.cancel_pipeline_run(first.run_id)
    equal("first", _ended(world, first.run_id).status, "Cancelled")
    until("the second runs", lambda: _in_progress(world, second))


def queue_is_full(world):
    """behind a pipeline's concurrency 100 runs wait, and the next is accepted and fails"""
    _running(world, "crowded")
    starts = [world.client.pipeline.create_pipeline_run("crowded").run_id for _ in range(101)]
    run = _ended(world, starts[-1])
    equal("status of the last", run.status, "Failed")
    holds("message", run.message, "a maximum of 100 runs will be queued for execution")
    equal("the one before it", _read(world, starts[-2]).status, "Queued")


def loops_and_branches(world):
    """a ForEach over literal items and an If are walked as the definition says"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("loops").run_id)
    equal("status", run.status, "Succeeded")
    names = sorted(row.activity_name for row in _activities(world, run))
    equal("activities", names, ["Copy_Full", *["Copy_Region"] * 3, "Each_Region", "If_Full", "Set_Mode"])
    rows = _activities(world, run, filters=[_only("ActivityName", "Copy_Region")])
    hashes = {row.additional_properties["iterationHash"] for row in rows}
    equal("an iterationHash for each", len(hashes - {""}), 3)


def return_value(world):
    """what a pipeline returns is in its run"""
    run = _ended(world, world.client.pipeline.create_pipeline_run("returns").run_id)
    equal("status", run.status, "Succeeded")
    equal("pipelineReturnValue", run.additional_properties.get("pipelineReturnValue"), {"rows": 42})


def rerun(world):
    """a recovery from the failed activity joins the group and goes on from there"""
    first = _ended(world, world.client.pipeline.create_pipeline_run("chain", parameters={"day": "monday"}).run_id)
    equal("first", first.status, "Failed")
    equal("its activities", _endings(world, first), {"Copy_1": "Succeeded", "Copy_2": "Failed", "Copy_3": "Skipped"})
    second = world.client.pipeline.create_pipeline_run(
        "chain",
        reference_pipeline_run_id=first.run_id,
        is_recovery=True,
        start_activity_name="Copy_2",
        parameters={"day": "monday"},
    )
    true("a new id", second.run_id != first.run_id)
    second = _ended(world, second.run_id)
    equal("second", second.status, "Succeeded")
    equal("its activities", _endings(world, second), {"Copy_2": "Succeeded", "Copy_3": "Succeeded"})
    equal("runGroupId", second.run_group_id, first.run_id)
    equal("parameters", second.parameters, {"day": "monday"})
    equal("invokedBy", second.invoked_by.invoked_by_type, "Manual")
    equal("isLatest", (_read(world, first.run_id).is_latest, second.is_latest), (False, True))


def rerun_whole(world):
    """a recovery without a start activity runs everything again"""
    first = _ended(world, world.client.pipeline.create_pipeline_run("load", parameters={"region": "apac"}).run_id)
    second = world.client.pipeline.create_pipeline_run(
        "load", reference_pipeline_run_id=first.run_id, is_recovery=True, parameters={"region": "apac"}
    )
    second = _ended(world, second.run_id)
    equal("its activities", sorted(_endings(world, second)), ["Copy_Region", "Pause"])
    equal("runGroupId", second.run_group_id, first.run_id)


def rerun_without_parameters(world):
    """a recovery that sends no parameters lists the old ones and still fails over them"""
    first = _ended(world, world.client.pipeline.create_pipeline_run("needs", parameters={"JobId": "7"}).run_id)
    equal("first", first.status, "Succeeded")
    second = world.client.pipeline.create_pipeline_run(
        "needs", reference_pipeline_run_id=first.run_id, is_recovery=True
    )
    second = _ended(world, second.run_id)
    equal("parameters", second.parameters, {"JobId": "7"})
    equal("second", second.status, "Failed")
    holds("message", second.message, "The workflow parameter 'JobId' is not found")


def rerun_with_other_parameters(world):
    """a rerun with new parameters is a run of its own"""
    first = _ended(world, world.client.pipeline.create_pipeline_run("load", parameters={"region": "apac"}).run_id)
    second = world.client.pipeline.create_pipeline_run(
        "load", reference_pipeline_run_id=first.run_id, is_recovery=True, parameters={"region": "amer"}
    )
    second = _read(world, second.run_id)
    equal("runGroupId", second.run_group_id, second.run_id)
    equal("the first is still the latest of its group", _read(world, first.run_id).is_latest, True)


def rerun_of_nothing(world):
    """a recovery of an unknown or impossible run is refused, and nothing starts"""
    before = len(world.accepted("load"))
    for reference, code in (
        (str(uuid.uuid4()), "ReferencedPipelineRunNotFound"),
        ("no-guid", "ReferencedPipelineRunNotValid"),
    ):
        error = refused(
            lambda: world.client.pipeline.create_pipeline_run(
                "load", reference_pipeline_run_id=reference, is_recovery=True
            )
        )
        wrapped(error, 400, code, reference)
    equal("accepted", len(world.accepted("load")), before)


def _ended(world, run_id):
    def look():
        run = _read(world, run_id)
        return run if run.status in ENDED else None

    return until(f"run {run_id} ends", look)


def _running(world, pipeline):
    run_id = world.client.pipeline.create_pipeline_run(pipeline).run_id
    return until(f"{pipeline} runs", lambda: _in_progress(world, run_id))


def _in_progress(world, run_id):
    run = _read(world, run_id)
    return run if run.status == "InProgress" else None


def _read(world, run_id):
    return world.client.pipeline_run.get_pipeline_run(run_id)


def _child(world, parent):
    rows = _activities(world, parent)
    return next((row.output["pipelineRunId"] for row in rows if (row.output or {}).get("pipelineRunId")), None)


def _endings(world, run):
    return {row.activity_name: row.status for row in _activities(world, run)}


def _activities(world, run, after=None, before=None, filters=None, order=None):
    """Returns a run's activity runs; without times, the widest window there is."""
    wanted = RunFilterParameters(
        last_updated_after=after or datetime(1, 1, 1, tzinfo=timezone.utc),
        last_updated_before=before or datetime.max.replace(tzinfo=timezone.utc),
        filters=filters,
        order_by=[RunQueryOrderBy(order_by=order[0], order=order[1])] if order else None,
    )
    return world.client.pipeline_run.query_activity_runs(run.pipeline_name, run.run_id, wanted).value


def _only(operand, *values, operator="Equals"):
    return RunQueryFilter(operand=operand, operator=operator, values=list(values))
