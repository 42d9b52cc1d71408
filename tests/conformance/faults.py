"""What goes wrong on the wire, and what the vendor's retries make of it.

The SDK replays a POST on 500, 503 and 504, and on any error with Retry-After; all other methods on any error
of the service or the connection. What counts is how many starts were accepted, by the emulator's record."""

import uuid
from datetime import datetime, timezone

from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.synapse.artifacts.models import PipelineResource, RunFilterParameters

from checks import equal, holds, refused, true, until, wrapped
from emulator import Emulator

QUICK = {"retry_backoff_factor": 0.01}


def throttled_start(world):
    """429 with Retry-After in seconds or as a date: the start is sent again and accepted once"""
    for pipeline in ("throttled_seconds", "throttled_date"):
        _starts(world, pipeline, requests=2, repeats=0)


def throttled_start_without_a_time(world):
    """429 without Retry-After, or in milliseconds only: the SDK gives up, and nothing was accepted"""
    for pipeline in ("throttled_bare", "throttled_ms", "throttled_x_ms"):
        error = _fails(world, pipeline, HttpResponseError, requests=1, accepted=0)
        wrapped(error, 429, "TooManyRequests", "You have exceeded the amount of requests")


def refused_before_acceptance(world):
    """500, 503 and 504 before acceptance: the start is sent again and accepted once"""
    for pipeline in ("before_500", "before_503", "before_504"):
        _starts(world, pipeline, requests=3, repeats=0)


def refused_after_acceptance(world):
    """500, 503 and 504 after acceptance: the replay carries the same id and starts nothing more"""
    for pipeline in ("after_500", "after_503", "after_504"):
        _starts(world, pipeline, requests=2, repeats=1)


def bad_gateway(world):
    """502 before acceptance is not replayed for a start, and nothing was accepted"""
    error = _fails(world, "before_502", HttpResponseError, requests=1, accepted=0)
    equal("status", error.status_code, 502)


def bad_gateway_after_acceptance(world):
    """502 after acceptance leaves a run that is found under the request's id"""
    _fails(world, "after_502", HttpResponseError, requests=1, accepted=1)


def always_broken(world):
    """500 for ever: four requests, then the error, and nothing was accepted"""
    error = _fails(world, "always_500", HttpResponseError, requests=4, accepted=0)
    wrapped(error, 500, "InternalServerError", "Internal error has occurred")


def html_page(world):
    """a gateway's HTML page is an error the SDK survives"""
    error = _fails(world, "html", HttpResponseError, requests=1, accepted=0)
    equal("status", error.status_code, 502)
    holds("body", error.response.text(), "<html>")


def cut_before_acceptance(world):
    """a connection cut before the start: not replayed, and nothing was accepted"""
    _fails(world, "cut_before", ServiceResponseError, requests=1, accepted=0)


def cut_after_acceptance(world):
    """a connection cut after the start: not replayed, and the run is found under the request's id"""
    _fails(world, "cut_after", ServiceResponseError, requests=1, accepted=1)


def service_that_ignores_ids(world):
    """where ids are ignored, the same replay starts the pipeline twice"""
    with Emulator("ids_ignored") as other:
        sent = str(uuid.uuid4())
        run = other.client.pipeline.create_pipeline_run("after_503", request_id=sent, **QUICK)
        ids = [one["run_id"] for one in other.accepted("after_503")]
        equal("accepted", len(ids), 2)
        true("ids of the service's own", sent not in ids)
        equal("the SDK knows the second only", run.run_id, ids[1])


def broken_reads(world):
    """a read survives 429, 502 as HTML, a cut and a late answer"""
    for pipeline, options in (
        ("read_429_ms", {}),
        ("read_429_x_ms", {}),
        ("read_html", {}),
        ("read_cut", {}),
        ("read_cut_in_body", {}),
        ("read_slow", {"read_timeout": 1.5}),
    ):
        run_id = world.client.pipeline.create_pipeline_run(pipeline).run_id
        before = world.requests("getRun")
        run = world.client.pipeline_run.get_pipeline_run(run_id, **QUICK, **options)
        equal(f"{pipeline}: run", run.run_id, run_id)
        equal(f"{pipeline}: requests", world.requests("getRun") - before, 2)


def truncated_answer(world):
    """JSON that ends half way is an error of its own, and the next read is whole"""
    run_id = world.client.pipeline.create_pipeline_run("read_truncated").run_id
    refused(lambda: world.client.pipeline_run.get_pipeline_run(run_id), DecodeError)
    equal("run", world.client.pipeline_run.get_pipeline_run(run_id).run_id, run_id)


def fresh_run_not_found(world):
    """a fresh run may be not found for a while, and is there later"""
    run_id = world.client.pipeline.create_pipeline_run("read_hidden").run_id
    refused(lambda: world.client.pipeline_run.get_pipeline_run(run_id), ResourceNotFoundError)
    equal("run", world.client.pipeline_run.get_pipeline_run(run_id).run_id, run_id)


def list_lags(world):
    """a list may miss a fresh run that a read finds; throttled, it is asked again"""
    run_id = world.client.pipeline.create_pipeline_run("plain").run_id
    equal("first list", _listed(world), [])
    equal("read", world.client.pipeline_run.get_pipeline_run(run_id).run_id, run_id)
    before = world.requests("queryPipelineRuns")
    true("second list", run_id in _listed(world))
    equal("requests", world.requests("queryPipelineRuns") - before, 2)


def broken_activity_query(world):
    """the activities of a run are asked again after 503"""
    run_id = world.client.pipeline.create_pipeline_run("activities_503").run_id
    before = world.requests("queryActivityRuns")
    answer = world.client.pipeline_run.query_activity_runs("activities_503", run_id, _ever(), **QUICK)
    true("an answer", isinstance(answer.value, list))
    equal("requests", world.requests("queryActivityRuns") - before, 2)


def broken_cancel(world):
    """a cancel is sent again after 503, whether it was carried out or not"""
    for pipeline in ("cancel_before", "cancel_after"):
        run_id = world.client.pipeline.create_pipeline_run(pipeline).run_id
        before = world.requests("cancelRun")
        world.client.pipeline_run.cancel_pipeline_run(run_id, **QUICK)
        equal(f"{pipeline}: requests", world.requests("cancelRun") - before, 2)
        until(f"{pipeline} is cancelled", lambda: _status(world, run_id) == "Cancelled")


def broken_write(world):
    """a write is sent again after 503 and after a cut, and done"""
    for name in ("put_503", "put_cut"):
        before = world.requests("putPipeline")
        poller = world.client.pipeline.begin_create_or_update_pipeline(
            name, PipelineResource(activities=[], description=name), **QUICK
        )
        equal(f"{name}: result", poller.result(timeout=20).description, name)
        equal(f"{name}: requests", world.requests("putPipeline") - before, 2)


def broken_sign_in(world):
    """a sign-in is sent again after 503; a token that ends early is refused with 401, and a new one works"""
    with Emulator("tokens") as other:
        error = refused(other.client.workspace.get, ClientAuthenticationError)
        equal("status", error.status_code, 401)
        holds("body", error.response.text(), "InvalidTokenAuthenticationExpired")
        equal("token requests", other.requests("token"), 2)
        true("a name", other.connect(other.sign_in()).workspace.get().name)


def faults_by_chance(world):
    """faults by probability strike the same requests again with the same seed"""
    def strikes(script):
        with Emulator(script) as other:
            return [_survives(other) for _ in range(24)]

    first = strikes("chance")
    true(f"some strike and some do not: {first}", True in first and False in first)
    equal("with the same seed", strikes("chance"), first)
    true("with another seed it differs", strikes("chance_again") != first)


def _starts(world, pipeline, requests, repeats):
    """Starts a pipeline that answers badly first. Exactly one start may be accepted, under the id sent."""
    sent = str(uuid.uuid4())
    before = world.requests("createRun")
    run = world.client.pipeline.create_pipeline_run(pipeline, request_id=sent, **QUICK)
    equal(f"{pipeline}: run id", run.run_id, sent)
    equal(f"{pipeline}: requests", world.requests("createRun") - before, requests)
    records = world.accepted(pipeline)
    equal(f"{pipeline}: accepted", [one["run_id"] for one in records], [sent])
    equal(f"{pipeline}: repeats", records[0]["repeats"], repeats)


def _fails(world, pipeline, kind, requests, accepted):
    """Starts a pipeline that the SDK gives up on. Returns its error."""
    sent = str(uuid.uuid4())
    before = world.requests("createRun")
    start = world.client.pipeline.create_pipeline_run
    error = refused(lambda: start(pipeline, request_id=sent, **QUICK), kind)
    equal(f"{pipeline}: requests", world.requests("createRun") - before, requests)
    equal(f"{pipeline}: accepted", [one["run_id"] for one in world.accepted(pipeline)], [sent] * accepted)
    if accepted:
        equal(f"{pipeline}: found", world.client.pipeline_run.get_pipeline_run(sent).run_id, sent)
    else:
        refused(lambda: world.client.pipeline_run.get_pipeline_run(sent), ResourceNotFoundError)
    return error


def _survives(other):
    try:
        other.client.workspace.get(retry_total=0)
    except HttpResponseError as error:
        equal("status", error.status_code, 503)
        return False
    return True


def _listed(world):
    answer = world.client.pipeline_run.query_pipeline_runs_by_workspace(_ever(), **QUICK)
    return [run.run_id for run in answer.value]


def _status(world, run_id):
    return world.client.pipeline_run.get_pipeline_run(run_id).status


def _ever():
    return RunFilterParameters(
        last_updated_after=datetime(1, 1, 1, tzinfo=timezone.utc),
        last_updated_before=datetime.max.replace(tzinfo=timezone.utc),
    )
