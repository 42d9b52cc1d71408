"""Checks of what is counted and how, on graphs and records small enough to count by hand. Needs Python alone."""

import json
import os
import tempfile
import types

import dag
import measure
import table


def nodes(*rows):
    return [dag.Node(name, ms, tuple(after.split())) for name, ms, after in rows]


def record(*rows):
    """A record as the emulator gives it: node, start and end in seconds."""
    when = "1970-01-01T00:00:{:06.3f}Z".format
    return [{"pipeline": name, "status": "Succeeded", "accepted_at": when(start), "ended_at": when(end)} for name, start, end in rows]


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def check_shapes():
    chain = dag.make("chain", 4, (1, 4), 500, 1)
    equal([node.after for node in chain], [(), ("n1",), ("n2",), ("n3",)])
    diamond = dag.make("diamond", 5, (1, 4), 500, 1)
    equal([node.after for node in diamond], [(), ("n1",), ("n1",), ("n1",), ("n2", "n3", "n4")])
    assert all(not node.after for node in dag.make("wide", 9, (1, 4), 500, 1))
    layered = dag.make("layered", 1000, (20, 200), 500, 1)
    equal(len(layered), 1000)
    layer = {}
    for node in layered:
        assert 20 * 500 <= node.ms <= 200 * 500, node
        assert len(node.after) <= 3 and len(set(node.after)) == len(node.after), node
        layer[node.id] = 1 + max((layer[one] for one in node.after), default=0)
        assert all(layer[one] == layer[node.id] - 1 for one in node.after), node
    equal(max(layer.values()), dag.usual_layers(1000))
    equal(layered, dag.make("layered", 1000, (20, 200), 500, 1))
    assert layered != dag.make("layered", 1000, (20, 200), 500, 2)


def check_bound_and_ideal():
    # Durations of 1, 2 and 3 whole beats, once rounded up.
    chain = nodes(("a", 700, ""), ("b", 1001, "a"), ("c", 2500, "b"))
    equal((dag.bound(chain, 9, 1000), dag.ideal(chain, 9, 1000)), (6, 6))
    wide = nodes(*((name, 2000, "") for name in "abcde"))
    equal((dag.bound(wide, 2, 1000), dag.ideal(wide, 2, 1000)), (5, 6))
    # The long way goes first: a, then c beside b and d.
    mixed = nodes(("b", 1000, ""), ("d", 1000, ""), ("a", 1000, ""), ("c", 3000, "a"))
    equal(dag.ideal(mixed, 2, 1000), 4)
    # Who does not know the durations begins with what stands first where all ways have one step.
    short_first = nodes(("a", 1000, ""), ("b", 1000, ""), ("c", 3000, ""))
    equal([dag.ideal(short_first, 2, 1000, known) for known in (True, False)], [3, 4])


def check_delays():
    two = nodes(("a", 1000, ""), ("b", 1000, ""), ("c", 1000, "a"), ("d", 1000, ""))
    # With room, a start is late by what has passed since its parent's end; roots tell nothing.
    equal(measure.delays(two, record(("a", 0, 1), ("b", 0, 2), ("c", 1.5, 3), ("d", 0, 1)), 9), [0.5])
    # With two places, c takes that of a (free at 1), and d that of b (free at 2).
    equal(measure.delays(two, record(("a", 0, 1), ("b", 0, 2), ("c", 1.5, 3), ("d", 2.25, 4)), 2), [0.5, 0.25])
    # Two places that became free at 1.1 and 1.9 are taken at 2: each is told by its own time.
    late = measure.delays(
        nodes(*((name, 1, "") for name in "abcd")), record(("a", 0, 1.1), ("b", 0, 1.9), ("c", 2, 3), ("d", 2, 3)), 2
    )
    equal([round(one, 3) for one in late], [0.9, 0.1])
    equal(measure.most_live(record(("a", 0, 1), ("b", 0, 2), ("c", 1, 3))), 2)


def check_wrongs():
    two = nodes(("a", 1000, ""), ("b", 1000, "a"))
    equal(measure.wrongs(two, record(("a", 0, 1), ("b", 1, 2))), [])
    equal(measure.wrongs(two, record(("a", 0, 1), ("b", 0.999, 2))), ["b started before a had ended"])
    equal(measure.wrongs(two, record(("a", 0, 1), ("a", 0, 1), ("b", 1, 2))), ["a ran 2 times"])
    equal(measure.wrongs(two, record(("a", 0, 1))), ["b ran 0 times"])
    equal(measure.wrongs(two, record(("a", 0, 1), ("b", 1, 2), ("x", 1, 2))), ["x is none of the nodes"])


def check_requests():
    def exchange(at, request, status=200):
        method, path = request.split()
        return {
            "recordedAt": f"1970-01-01T00:00:{at:06.3f}Z",
            "request": {"method": method, "path": path, "body": {"value": [{"a": 1}]}},
            "response": {"status": status},
        }

    sent = [
        exchange(1, "POST /7e57/oauth2/v2.0/token"),
        exchange(1.5, "GET /pipelines"),
        exchange(2, "POST /pipelines/a/createRun", 202),
        exchange(2.5, "POST /queryPipelineRuns"),
        exchange(2.9, "GET /pipelineruns/1-2", 429),
        exchange(3.5, "POST /pipelines/a/pipelineruns/1-2/queryActivityruns"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording.json")
        with open(path, "w", encoding="utf-8") as file:
            # As the emulator writes it.
            file.write("[\n" + ",\n".join(json.dumps(one, indent=2) for one in sent) + "\n]\n")
        came, refused = measure.requests(path)
    want = {"sign-in": [1], "other": [1.5], "start": [2], "list": [2.5], "get": [2.9], "activities": [3.5]}
    equal((dict(came), refused), (want, 1))
    equal(measure.most_within([0, 0.4, 0.9, 1.0, 1.5], 1), 3)
    equal(measure.most_within([], 1), 0)


def check_numbers():
    equal([measure.percentile(range(1, 101), share) for share in (50, 99, 100)], [50, 99, 100])
    equal((measure.percentile([7], 99), measure.percentile([], 50)), (7, None))
    rounds = [{"cpu_seconds": one} for one in (3, 1, 2)]
    equal(table.medians(rounds)["cpu_seconds"], 2)
    equal(table.ratios({**table.medians([]), "cpu_seconds": 6}, {**table.medians([]), "cpu_seconds": 2}), {"cpu_seconds": 3})


def main():
    checks = [it for name, it in globals().items() if name.startswith("check_") and isinstance(it, types.FunctionType)]
    for check in checks:
        check()
    print(f"{len(checks)} checks passed")


if __name__ == "__main__":
    main()
