"""What one run of a contender was worth, by the emulator's own word: see README.md for what each number means."""

import collections
import json
import re
from datetime import datetime

import dag

KINDS = (
    ("start", re.compile(r"POST /pipelines/[^/]+/createRun$")),
    ("get", re.compile(r"GET /pipelineruns/[^/]+$")),
    ("list", re.compile(r"POST /queryPipelineRuns$")),
    ("activities", re.compile(r"POST /pipelines/[^/]+/pipelineruns/[^/]+/queryActivityruns$")),
    ("sign-in", re.compile(r"\S+ /.*(oauth2|discovery|openid-configuration)")),
)


def exchanges(path):
    """Yields the exchanges of a recording one by one: it may be larger than memory."""
    with open(path, encoding="utf-8") as file:
        lines = []
        for line in file:
            # Each stands in lines of its own, and only its first and last begin with a brace.
            if line.startswith("{"):
                lines = [line]
            elif line.startswith("}"):
                yield json.loads("".join([*lines, "}"]))
            else:
                lines.append(line)


def requests(path):
    """Returns when each request came, by kind, and how many were refused."""
    came, refused = collections.defaultdict(list), 0
    for exchange in exchanges(path):
        came[kind_of(exchange)].append(seconds(exchange["recordedAt"]))
        refused += exchange["response"]["status"] >= 400
    return came, refused


def kind_of(exchange):
    """Returns what kind of request an exchange is."""
    name = f"{exchange['request']['method']} {exchange['request']['path']}"
    return next((kind for kind, pattern in KINDS if pattern.match(name)), "other")


def seconds(text):
    """Returns a time of the emulator as seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def most_within(times, window):
    """Returns the most of these times that lie within one window of so many seconds."""
    times, first, most = sorted(times), 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def wrongs(nodes, runs):
    """Returns in words what is wrong: a node that did not run exactly once, or ran before its parents had ended."""
    found = []
    by_node = collections.defaultdict(list)
    for run in runs:
        by_node[run["pipeline"]].append(run)
    for node in nodes:
        own = by_node[node.id]
        if len(own) != 1:
            found.append(f"{node.id} ran {len(own)} times")
        elif own[0]["status"] != "Succeeded":
            found.append(f"{node.id} is {own[0]['status']}")
        else:
            for parent in node.after:
                ends = [run["ended_at"] for run in by_node[parent]]
                if not ends or None in ends or max(map(seconds, ends)) > seconds(own[0]["accepted_at"]):
                    found.append(f"{node.id} started before {parent} had ended")
    strangers = set(by_node) - {node.id for node in nodes}
    return found + [f"{name} is none of the nodes" for name in sorted(strangers)]


def delays(nodes, runs, at_once):
    """Returns for every start that waited for something how many seconds it came late.

    Places are taken in the order in which they became free by the service's times. A start is due at the end of its last parent, or
    when the place that it takes became free, whichever is later. One that waited for neither has no delay to tell.
    """
    ends = {run["pipeline"]: seconds(run["ended_at"]) for run in runs}
    starts = {run["pipeline"]: seconds(run["accepted_at"]) for run in runs}
    # At the same moment an end comes before a start.
    moments = sorted([(at, 0, name) for name, at in ends.items()] + [(at, 1, name) for name, at in starts.items()])
    parents = {node.id: node.after for node in nodes}
    free, late = collections.deque([None] * at_once), []
    for at, is_start, name in moments:
        if not is_start:
            free.append(at)
            continue
        # More at once than allowed would be told as wrong elsewhere.
        place = free.popleft() if free else at
        waited_for = [ends[parent] for parent in parents[name]] + ([place] if place is not None else [])
        if waited_for:
            late.append(max(0.0, at - max(waited_for)))
    return late


def most_live(runs):
    """Returns the most runs that were live at once by the service's times."""
    moments = sorted(
        [(seconds(run["accepted_at"]), 1) for run in runs]
        + [(seconds(run["ended_at"]), -1) for run in runs if run["ended_at"]]
    )
    live = most = 0
    for _, change in moments:
        live += change
        most = max(most, live)
    return most


def percentile(values, share):
    """Returns the value below which this share of them lies (nearest rank); nothing of nothing."""
    if not values:
        return None
    values = sorted(values)
    return values[max(0, -(-len(values) * share // 100) - 1)]


def judge(case, nodes, runs, recording, used, emulator):
    """Returns the numbers of one run. `used` and `emulator` are what `child.py` wrote of the two processes."""
    found = wrongs(nodes, runs)
    if used["code"] != 0:
        found.append(f"it ended with code {used['code']}")
    if most_live(runs) > case.at_once:
        found.append(f"{most_live(runs)} runs were live at once")
    came, refused = requests(recording)
    every = [time for times in came.values() for time in times]
    first = min((seconds(run["accepted_at"]) for run in runs), default=used["began"])
    # The last question is the one whose answer told of the last end.
    makespan = (max([*came["get"], *came["list"]], default=used["ended"]) - first) / case.beat
    wall = used["ended"] - used["began"]
    numbers = {
        "makespan_beats": makespan,
        "to_bound": makespan / dag.bound(nodes, case.at_once, case.beat_ms),
        "to_ideal": makespan / dag.ideal(nodes, case.at_once, case.beat_ms),
        "to_blind": makespan / dag.ideal(nodes, case.at_once, case.beat_ms, known=False),
        "before_first_start_seconds": first - used["began"],
        "whole_seconds": wall,
        "requests_per_pipeline": len(every) / len(nodes),
        **{f"requests_{kind.replace('-', '_')}": len(came[kind]) for kind in [*(kind for kind, _ in KINDS), "other"]},
        "requests_refused": refused,
        "most_in_60_seconds": most_within(every, 60),
        "most_in_12_beats": most_within(every, 12 * case.beat),
        "most_in_1_second": most_within(every, 1),
        "cpu_seconds": used["cpu_seconds"],
        "cpu_percent": 100 * used["cpu_seconds"] / wall,
        "memory_mb": used["memory_bytes"] / 1e6,
        "emulator_cpu_seconds": emulator["cpu_seconds"],
        "emulator_cpu_percent": 100 * emulator["cpu_seconds"] / wall,
    }
    if not any("ran 0 times" in one or " is " in one for one in found):
        late = [one / case.beat for one in delays(nodes, runs, case.at_once)]
        numbers["delay_p50_beats"] = percentile(late, 50)
        numbers["delay_p99_beats"] = percentile(late, 99)
        numbers["delay_max_beats"] = max(late, default=None)
    return {"wrong": found, **numbers}
