"""Lists of runs: filters, order, windows, and paging over 250 runs."""

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from azure.core.exceptions import HttpResponseError
from azure.synapse.artifacts.models import RunFilterParameters, RunQueryFilter, RunQueryOrderBy

from checks import equal, holds, refused, true, until, wrapped

EVER = (datetime(1, 1, 1, tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc))
RUNS = 250
PAGE = 100
ENDED = ("Succeeded", "Failed", "Cancelled")


def everything(world):
    """the widest window gives every run once, oldest start first"""
    story = _story(world)
    equal("runs", _found(world), story.ids)


def by_name(world):
    """PipelineName takes Equals, NotEquals, In and NotIn"""
    story = _story(world)
    alpha, beta = story.of["alpha"], story.of["beta"]
    equal("Equals", _found(world, ("PipelineName", "Equals", "alpha")), alpha)
    equal("NotEquals", _found(world, ("PipelineName", "NotEquals", "alpha")), story.without(alpha))
    equal("In", _found(world, ("PipelineName", "In", "alpha", "beta")), story.only(alpha + beta))
    equal("NotIn", _found(world, ("PipelineName", "NotIn", "alpha", "beta")), story.without(alpha + beta))
    equal("a name nobody has", _found(world, ("PipelineName", "Equals", "nowhere")), [])


def by_status(world):
    """Status takes Equals, NotEquals, In and NotIn"""
    story = _story(world)
    kinds = {"Succeeded": "alpha", "Failed": "beta", "InProgress": "gamma", "Cancelled": "delta"}
    for status, pipeline in kinds.items():
        equal(status, _found(world, ("Status", "Equals", status)), story.of[pipeline])
        equal(f"not {status}", _found(world, ("Status", "NotEquals", status)), story.without(story.of[pipeline]))
    badly = story.only(story.of["beta"] + story.of["delta"])
    equal("In", _found(world, ("Status", "In", "Failed", "Cancelled")), badly)
    equal("NotIn", _found(world, ("Status", "NotIn", "Failed", "Cancelled")), story.without(badly))


def by_time(world):
    """RunStart and RunEnd take the times that answers show"""
    story = _story(world)
    raw = {run["runId"]: run for run in _raw(world)["value"]}
    one = story.of["alpha"][1]
    for operand, member in (("RunStart", "runStart"), ("RunEnd", "runEnd")):
        true(f"{operand} Equals", one in _found(world, (operand, "Equals", raw[one][member])))
        true(f"{operand} NotEquals", one not in _found(world, (operand, "NotEquals", raw[one][member])))
    equal("a time nobody has", _found(world, ("RunStart", "Equals", "2001-01-01T00:00:00Z")), [])


def by_group(world):
    """RunGroupId takes one value, and more are refused in the service's words"""
    story = _story(world)
    one, other = story.of["alpha"][0], story.of["beta"][0]
    equal("one group", _found(world, ("RunGroupId", "Equals", one)), [one])
    error = refused(lambda: _found(world, ("RunGroupId", "In", one, other)), HttpResponseError)
    wrapped(error, 400, "BadRequest", "Filter operand 'RunGroupId' does not support and array of values.")


def filters_together(world):
    """several filters must all fit"""
    story = _story(world)
    both = (("PipelineName", "In", "alpha", "beta"), ("Status", "Equals", "Failed"))
    equal("both", _found(world, *both), story.of["beta"])
    equal("a contradiction", _found(world, ("PipelineName", "Equals", "alpha"), ("Status", "Equals", "Failed")), [])
    equal("no filters", _ids(_query(world, filters=[], order_by=[])), story.ids)


def ordered(world):
    """the list is ordered by any of the four members, either way, and by several"""
    story = _story(world)
    runs = {run["runId"]: run for run in _raw(world)["value"]}
    equal("runs", sorted(runs), sorted(story.ids))
    members = {"RunStart": "runStart", "PipelineName": "pipelineName", "Status": "status"}
    for operand, member in members.items():
        for order in ("ASC", "DESC"):
            found = [_coarse(runs[run_id][member]) for run_id in _found(world, order=[(operand, order)])]
            equal(f"{operand} {order}", found, sorted(found, reverse=order == "DESC"))
            equal(f"{operand} {order}: all of them", len(found), len(runs))
    ended = _found(world, ("Status", "NotEquals", "InProgress"), order=[("RunEnd", "DESC")])
    ends = [_coarse(runs[run_id]["runEnd"]) for run_id in ended]
    equal("RunEnd DESC", ends, sorted(ends, reverse=True))
    found = _found(world, order=[("PipelineName", "DESC"), ("RunStart", "ASC")])
    keys = [(runs[run_id]["pipelineName"], _coarse(runs[run_id]["runStart"])) for run_id in found]
    starts_first = sorted(keys, key=lambda key: key[1])
    equal("two members", keys, sorted(starts_first, key=lambda key: key[0], reverse=True))


def windows(world):
    """the window takes the last update, both ends included"""
    story = _story(world)
    runs = _query(world).value
    updates = sorted({run.last_updated for run in runs})
    middle = updates[len(updates) // 2]
    millisecond = timedelta(milliseconds=1)
    after = {run.run_id for run in runs if run.last_updated >= middle}
    before = {run.run_id for run in runs if run.last_updated <= middle}
    equal("from a run's own update on", set(_found(world, window=(middle, EVER[1]))) >= after, True)
    equal("up to it", set(_found(world, window=(EVER[0], middle))) >= before, True)
    later = {run.run_id for run in runs if run.last_updated < middle - millisecond}
    equal("nothing older", set(_found(world, window=(middle, EVER[1]))) & later, set())
    hour = timedelta(hours=1)
    equal("before them all", _found(world, window=(updates[0] - 2 * hour, updates[0] - hour)), [])
    equal("after them all", _found(world, window=(updates[-1] + hour, updates[-1] + 2 * hour)), [])
    equal("wider than what is kept", len(_found(world, window=EVER)), len(story.ids))


def bad_queries(world):
    """an unknown operand, operator or order, and a missing window, are refused"""
    _story(world)
    for filters, order, word in (
        ([("RunId", "Equals", "x")], None, "RunId"),
        ([("Status", "Like", "x")], None, "Like"),
        ([("ActivityName", "Equals", "x")], None, "ActivityName"),
        ([], [("RunGroupId", "ASC")], "RunGroupId"),
        ([], [("RunStart", "UP")], "UP"),
    ):
        error = refused(lambda: _found(world, *filters, order=order), HttpResponseError)
        equal(f"status for {word}", error.status_code, 400)
        holds("body", error.response.text(), word)
    for body in (b"", b"{}", b'{"lastUpdatedAfter":"2026-01-01T00:00:00Z"}', b"nonsense"):
        error = refused(lambda: world.client.pipeline_run.query_pipeline_runs_by_workspace(body), HttpResponseError)
        equal(f"status for {body!r}", error.status_code, 400)


def latest_only(world):
    """LatestOnly leaves out what a rerun has replaced"""
    _story(world)
    first = world.client.pipeline.create_pipeline_run("echo").run_id
    second = world.client.pipeline.create_pipeline_run(
        "echo", reference_pipeline_run_id=first, is_recovery=True
    ).run_id
    equal("both", _found(world, ("PipelineName", "Equals", "echo")), [first, second])
    equal("the group", _found(world, ("RunGroupId", "Equals", first)), [first, second])
    latest = (("PipelineName", "Equals", "echo"), ("LatestOnly", "Equals", "true"))
    equal("the latest", _found(world, *latest), [second])


def a_full_page(world):
    """exactly 100 runs are one page without a token"""
    equal("sizes", [len(page) for page in _pages(world, _hundred(world))], [PAGE])


def paging(world):
    """250 runs come in pages of 100, oldest first, none lost, none doubled, and no token on the last"""
    started = _many(world)
    pages = _pages(world, "many")
    equal("sizes", [len(page) for page in pages], [100, 100, 50])
    listed = [run_id for page in pages for run_id in page]
    equal("no run doubled", len(set(listed)), len(listed))
    equal("no run lost", sorted(listed), sorted(started))
    equal("oldest first", listed, started)
    last = _raw(world, ("PipelineName", "Equals", "alpha"))
    true(f"no token on a last page: {sorted(last)}", "continuationToken" not in last)


def paging_in_another_order(world):
    """250 runs by start, newest first, come in pages of 100 too"""
    started = _many(world)
    pages = _pages(world, "many", order=[("RunStart", "DESC")])
    equal("sizes", [len(page) for page in pages], [100, 100, 50])
    equal("all of them", sorted(run_id for page in pages for run_id in page), sorted(started))


def paging_everything(world):
    """without filters the pages hold every accepted run exactly once"""
    _many(world)
    listed = [run_id for page in _pages(world) for run_id in page]
    record = [run["run_id"] for run in world.record()["runs"]]
    equal("against the emulator's record", listed, record)


def paging_while_runs_start(world):
    """a run started between two pages loses and doubles none of the others"""
    started = _many(world)
    pages = []

    def between():
        pages.append(world.client.pipeline.create_pipeline_run("late").run_id)

    names = ("PipelineName", "In", "many", "late")
    listed = [run_id for page in _pages(world, filters=[names], between=between) for run_id in page]
    equal("the 250", [run_id for run_id in listed if run_id not in pages], started)
    equal("no run doubled", len(set(listed)), len(listed))


def unknown_token(world):
    """a continuation token that the service did not give out is refused"""
    error = refused(lambda: _query(world, token="nonsense"), HttpResponseError)
    equal("status", error.status_code, 400)


def trigger_runs(world):
    """trigger runs are queried, and there are none"""
    answer = world.client.trigger_run.query_trigger_runs_by_workspace(
        RunFilterParameters(last_updated_after=EVER[0], last_updated_before=EVER[1])
    )
    equal("value and token", (answer.value, answer.continuation_token), ([], None))


def _story(world):
    """Starts a few runs of each kind, once, and waits until each has got where it stays."""
    if hasattr(world, "story"):
        return world.story
    order = ("alpha", "beta", "alpha", "gamma", "beta", "alpha", "delta")
    started = [(name, world.client.pipeline.create_pipeline_run(name).run_id) for name in order]
    ids = [run_id for _, run_id in started]
    of = {name: [run_id for other, run_id in started if other == name] for name in order}
    for run_id in of["delta"]:
        world.client.pipeline_run.cancel_pipeline_run(run_id)

    def settled():
        runs = [world.client.pipeline_run.get_pipeline_run(run_id) for run_id in ids]
        return all(run.status == "InProgress" if run.pipeline_name == "gamma" else run.status in ENDED for run in runs)

    until("all runs have got where they stay", settled)
    world.story = SimpleNamespace(
        ids=ids,
        of=of,
        only=lambda some: [run_id for run_id in ids if run_id in some],
        without=lambda some: [run_id for run_id in ids if run_id not in some],
    )
    return world.story


def _many(world):
    """Starts 250 runs, once. Returns their ids in that order."""
    if not hasattr(world, "many"):
        start = world.client.pipeline.create_pipeline_run
        world.many = [start("many", parameters={"number": number}).run_id for number in range(RUNS)]
    return world.many


def _hundred(world):
    """Starts as many runs as a page holds. Returns their pipeline."""
    for _ in range(PAGE):
        world.client.pipeline.create_pipeline_run("hundred")
    return "hundred"


def _pages(world, pipeline=None, order=None, filters=(), between=None):
    """Returns the run ids of every page, following the tokens."""
    wanted = [*filters, *([("PipelineName", "Equals", pipeline)] if pipeline else [])]
    pages, token = [], None
    while True:
        answer = _query(world, filters=_filters(wanted), order_by=_orders(order), token=token)
        pages.append([run.run_id for run in answer.value])
        token = answer.continuation_token
        if not token:
            return pages
        true("fewer than twenty pages", len(pages) < 20)
        if between:
            between()


def _found(world, *filters, order=None, window=EVER):
    return _ids(_query(world, filters=_filters(filters), order_by=_orders(order), window=window))


def _ids(answer):
    equal("continuationToken", answer.continuation_token, None)
    return [run.run_id for run in answer.value]


def _query(world, filters=None, order_by=None, window=EVER, token=None, **options):
    wanted = RunFilterParameters(
        last_updated_after=window[0],
        last_updated_before=window[1],
        filters=filters,
        order_by=order_by,
        continuation_token=token,
    )
    return world.client.pipeline_run.query_pipeline_runs_by_workspace(wanted, **options)


def _raw(world, *filters):
    """Returns an answer's JSON: the SDK's own times have lost their seventh digit."""
    return _query(
        world, filters=_filters(filters), cls=lambda answer, *_: json.loads(answer.http_response.text())
    )


def _filters(wanted):
    return [RunQueryFilter(operand=name, operator=how, values=list(values)) for name, how, *values in wanted] or None


def _orders(wanted):
    return [RunQueryOrderBy(order_by=name, order=order) for name, order in wanted] if wanted else None


def _coarse(value):
    """Cuts a shown time to milliseconds; everything else stays as it is."""
    is_time = len(value) > 19 and value[10] == "T" and value[19] == "."
    return value[:19] + value[19:-1][:4].ljust(4, "0") if is_time else value
