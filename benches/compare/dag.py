"""Graphs of pipelines from a seed, and how soon they could be done: see README.md."""

import dataclasses
import heapq
import json
import math
import random


@dataclasses.dataclass(frozen=True)
class Node:
    """One pipeline: how long it runs, and what must have ended before it starts."""

    id: str
    ms: int
    after: tuple

    def beats(self, beat_ms):
        """Returns how many whole beats pass until its end can be seen."""
        return math.ceil(self.ms / beat_ms)


def make(shape, size, beats, beat_ms, seed, layers=None):
    """Makes a graph. `beats` are the shortest and the longest duration; nodes stand after those they wait for."""
    luck = random.Random(f"{shape} {size} {beats[0]}-{beats[1]} {seed}")
    parents = SHAPES[shape](size, luck, layers or usual_layers(size))
    digits = len(str(size))
    ids = [f"n{at + 1:0{digits}}" for at in range(size)]
    return [
        Node(ids[at], max(1, round(luck.uniform(*beats) * beat_ms)), tuple(ids[one] for one in parents[at]))
        for at in range(size)
    ]


def usual_layers(size):
    """Returns how many layers a graph of this size gets: few and wide, so that the places are what is short."""
    return max(2, round(size**0.2))


def _chain(size, _luck, _layers):
    return [[at - 1] if at else [] for at in range(size)]


def _wide(size, _luck, _layers):
    return [[] for _ in range(size)]


def _diamond(size, _luck, _layers):
    """One, then all others, then one."""
    if size < 3:
        return _chain(size, _luck, _layers)
    return [[]] + [[0]] * (size - 2) + [list(range(1, size - 1))]


def _layered(size, luck, layers):
    """Layers of like size; each node waits for one to three of the layer before."""
    parents, before = [], range(0)
    for layer in range(layers):
        here = range(size * layer // layers, size * (layer + 1) // layers)
        for _ in here:
            count = min(luck.randint(1, 3), len(before))
            parents.append(sorted(luck.sample(before, count)))
        before = here
    return parents


SHAPES = {"chain": _chain, "diamond": _diamond, "wide": _wide, "layered": _layered}


def longest_ways(nodes, weight):
    """Returns for each node the weight of the heaviest way from its start to the end of all."""
    ways = {}
    beyond = {node.id: 0 for node in nodes}
    for node in reversed(nodes):
        ways[node.id] = weight(node) + beyond[node.id]
        for parent in node.after:
            beyond[parent] = max(beyond[parent], ways[node.id])
    return ways


def bound(nodes, at_once, beat_ms):
    """Returns the number of beats below which nobody gets whose questions stand on the beat."""
    way = max(longest_ways(nodes, lambda node: node.beats(beat_ms)).values())
    work = sum(node.beats(beat_ms) for node in nodes)
    return max(way, work / at_once)


def ideal(nodes, at_once, beat_ms, known=True):
    """Returns how many beats a scheduler takes that knows all durations, starts the longest way first, sees an end at the next
    whole beat and needs no time for a request. One that does not know the durations counts steps."""
    ways = longest_ways(nodes, lambda node: node.beats(beat_ms) if known else 1)
    place = {node.id: at for at, node in enumerate(nodes)}
    waits = [len(node.after) for node in nodes]
    after = [[] for _ in nodes]
    for at, node in enumerate(nodes):
        for parent in node.after:
            after[place[parent]].append(at)
    ready = [(-ways[node.id], at) for at, node in enumerate(nodes) if not node.after]
    heapq.heapify(ready)
    running, now = [], 0
    while ready or running:
        while ready and len(running) < at_once:
            _, at = heapq.heappop(ready)
            heapq.heappush(running, (now + nodes[at].beats(beat_ms), at))
        now = running[0][0]
        while running and running[0][0] == now:
            _, ended = heapq.heappop(running)
            for at in after[ended]:
                waits[at] -= 1
                if waits[at] == 0:
                    heapq.heappush(ready, (-ways[nodes[at].id], at))
    return now


def for_scripts(nodes, known):
    """Returns the JSON that the Python contenders read; durations only if they shall be known."""
    listed = [
        {"id": node.id, "after": list(node.after), **({"seconds": node.ms / 1000} if known else {})} for node in nodes
    ]
    return json.dumps({"nodes": listed})


def as_plan(nodes, at_once, endpoint, lines):
    """Returns the plan that synflow reads: a step for each node, whose pipeline has the node's name."""
    head = ["version: 1", "name: compare", f"max_parallel: {at_once}", *lines]
    head.append(f'workspaces: {{ main: {{ endpoint: "{endpoint}" }} }}')
    steps = [f"  {node.id}: {{ depends_on: [{', '.join(node.after)}] }}" if node.after else f"  {node.id}: {{}}" for node in nodes]
    return "\n".join([*head, "steps:", *steps, ""])


def as_script(nodes, seed, latency_ms=0):
    """Returns what the emulated workspace does: nobody waits in its queue, each run takes its time, and so does each answer."""
    pipelines = [f"  {node.id}: {{ duration: {node.ms}ms }}" for node in nodes]
    calls = "createRun, getRun, queryPipelineRuns, queryActivityRuns"
    slow = [f"faults: [{{ on: [{calls}], kind: slow, for: {latency_ms}ms }}]"] if latency_ms else []
    return "\n".join([f"seed: {seed}", "defaults: { queued: 0ms }", *slow, "pipelines:", *pipelines, ""])
