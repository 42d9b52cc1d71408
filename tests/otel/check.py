"""Checks the traces that synflow sends, as a collector sees them.

Every function `check_*` is one check; `run.sh` says how to start this. The collector is oteltest's sink: an OTLP server
over http/protobuf that is none of ours. The flows run against emulated workspaces.
"""

import contextlib
import dataclasses
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from http.server import BaseHTTPRequestHandler, HTTPServer

from oteltest.sink import HttpSink
from oteltest.sink.handler import AccumulatingHandler

BINARY = os.environ["SYNFLOW_BIN"]
LIMIT_SECS = 60

TWO_STEPS = """\
version: 1
name: traced
workspace: contoso-dw
inputs:
  region: { type: string, default: emea }
steps:
  load:
    pipeline: pl_load
    parameters: { region: "{{inputs.region}}", password: '{{secret "env:PASSWORD"}}' }
    retry: { max_attempts: 2, delay: 10ms }
  curate: { depends_on: [load] }
  alarm: { depends_on: [{ load: [failed] }] }
"""

# The first run of its pipeline fails, and then the first two.
FAILS_ONCE = """\
defaults: { duration: 20ms }
pipelines:
  pl_load:
    activities: { Copy rows: {} }
    runs: [{ outcome: failed, activities: { Copy rows: { error: { code: "2200", message: no such table } } } }, {}]
"""
FAILS_TWICE = FAILS_ONCE.replace("runs: [{", "runs: [{ outcome: failed }, {")


@dataclasses.dataclass
class Span:
    """A span as it arrived, with the attributes of its resource."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    kind: int
    attributes: dict
    events: list
    links: list
    error: str | None
    resource: dict

    def __getitem__(self, name):
        return self.attributes.get(f"synflow.{name}")


class Collector:
    """A collector on a free port. Ends with its `with` block."""

    def __init__(self):
        self.handler = AccumulatingHandler()
        self.port = free_port()
        self.sink = HttpSink(self.handler, logging.getLogger("sink"), self.port)

    def __enter__(self):
        self.sink.start()
        deadline = time.monotonic() + LIMIT_SECS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        raise RuntimeError("the collector does not listen")

    def __exit__(self, *_):
        self.sink.stop()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def requests(self):
        return self.handler.telemetry.get_trace_requests()

    def spans(self):
        return [
            read(span, resource.resource)
            for request in self.requests()
            for resource in request.pbreq.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def read(span, resource):
    return Span(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        kind=span.kind,
        attributes=values(span.attributes),
        events=[event.name for event in span.events],
        links=[link.span_id.hex() for link in span.links],
        error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
        resource=values(resource.attributes),
    )


def values(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


class Space:
    """A folder with a plan, a script of the emulated workspace and a journal."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def command(self, *words):
        return [os.path.abspath(BINARY), "--state-dir", os.path.join(self.folder, "state"), *words]

    def environment(self, **settings):
        usual = {"PASSWORD": "hunter2", "SYNFLOW_BEAT": "50ms", "NO_COLOR": "1"}
        return {**os.environ, **usual, **settings}

    def run(self, *words, **settings):
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECS,
            check=False,
        )

    def apply(self, plan=TWO_STEPS, script="", **settings):
        self.write("plan.yaml", plan)
        self.write("script.yaml", script or "defaults: { duration: 20ms }\n")
        return self.run("apply", "plan.yaml", "--emulate", "--script", "script.yaml", **settings)


class Workspace:
    """A `synflow emulate` for plan.yaml, whose with-block is given what the environment must say to use it."""

    def __init__(self, space, script="defaults: { duration: 20ms }\n"):
        space.write("script.yaml", script)
        self.space = space

    def __enter__(self):
        command = self.space.command("emulate", "--port", "0", "--script", "script.yaml")
        self.process = subprocess.Popen(
            command, cwd=self.space.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        settings = {}
        while "SYNAPSE_ENDPOINT" not in settings:
            name, _, value = self.process.stdout.readline().strip().partition("=")
            assert name, "the emulator ended early"
            settings[name] = value
        workspace = f"workspaces: {{ main: {{ endpoint: {settings['SYNAPSE_ENDPOINT']} }} }}"
        self.space.write("plan.yaml", TWO_STEPS.replace("workspace: contoso-dw", workspace))
        return settings

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Silence:
    """Takes connections and never answers. Ends with its `with` block."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self.socket.close()


def outline(spans):
    """Returns names, the names of parents and errors, sorted."""
    names = {span.id: span.name for span in spans}
    lines = [(span.name, names.get(span.parent), span.error) for span in spans]
    return sorted(lines, key=lambda line: [text or "" for text in line])


def within_their_parents(spans):
    by_id = {span.id: span for span in spans}
    equal(len(by_id), len(spans))
    for span in spans:
        assert span.start <= span.end, span
        if span.parent:
            parent = by_id[span.parent]
            assert parent.start <= span.start and span.end <= parent.end, (span, parent)


def id_of_flow(ended):
    return re.search(r"flow ([0-9a-f]{6})", ended.stderr).group(1)



def equal(got, want):
    assert got == want, f"\n got {got!r}\nwant {want!r}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# What arrives.


def check_every_flow_step_and_attempt_is_a_span(space):
    with Collector() as collector:
        ended = space.apply(script=FAILS_ONCE, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
        equal((ended.returncode, ended.stderr.count("note:")), (0, 0))
        spans = collector.spans()
    equal(
        outline(spans),
        [
            ("Activity1", "attempt curate", None),
            ("Copy rows", "attempt pl_load", None),
            ("Copy rows", "attempt pl_load", "2200: no such table"),
            ("RUN traced", None, None),
            ("alarm", "RUN traced", None),
            ("attempt curate", "curate", None),
            ("attempt pl_load", "load", None),
            ("attempt pl_load", "load", "Copy rows: 2200: no such table"),
            ("curate", "RUN traced", None),
            ("load", "RUN traced", None),
        ],
    )
    within_their_parents(spans)
    equal(len({span.trace for span in spans}), 1)
    flow = id_of_flow(ended)
    equal({span["flow.id"] for span in spans}, {flow})
    equal({span["emulated"] for span in spans}, {True})

    one = {span.name: span for span in spans if span.name in ("RUN traced", "load", "alarm")}
    tries = sorted((span for span in spans if span.name == "attempt pl_load"), key=lambda span: span.start)
    equal([span["attempt"] for span in tries], [1, 2])
    equal([span["outcome"] for span in tries], ["failed", "succeeded"])
    equal([span.attributes.get("error.type") for span in tries], ["2200", None])
    equal(tries[0]["error.message"], "no such table")
    # Whether the run is seen at work before its end is a matter of time.
    equal([name for name in tries[0].events if name != "run_changed"], ["run_started", "run_ended"])
    assert tries[0]["run.id"] != tries[1]["run.id"] and len(tries[0]["run.id"]) == 36, tries
    equal(one["load"].events, ["retry_scheduled"])
    equal((one["load"]["attempts"], one["load"]["run.id"]), (2, tries[1]["run.id"]))
    equal((one["load"]["pipeline"], one["load"]["workspace"]), ("pl_load", "contoso-dw"))
    equal((one["alarm"]["outcome"], one["alarm"]["attempts"]), ("not_needed", 0))
    equal(one["alarm"].attributes["cicd.pipeline.task.run.result"], "skip")
    night = one["RUN traced"].attributes
    equal((night["cicd.pipeline.name"], night["cicd.pipeline.run.id"]), ("traced", flow))
    equal((night["cicd.pipeline.result"], night["synflow.exit_code"]), ("success", 0))
    equal({span.resource["service.name"] for span in spans}, {"synflow"})


def check_a_failed_flow_is_an_error(space):
    script = FAILS_ONCE.replace("}, {}]", "}]")
    with Collector() as collector:
        ended = space.apply(script=script, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
        equal(ended.returncode, 1)
        one = {span.name: span for span in collector.spans()}
    equal(one["RUN traced"].error, "failed: load")
    equal(one["load"].error, "Copy rows: 2200: no such table")
    equal((one["curate"].error, one["curate"]["outcome"]), (None, "blocked"))
    equal(one["RUN traced"].attributes["cicd.pipeline.result"], "failure")


def check_no_span_holds_a_parameter_or_a_secret(space):
    with Collector() as collector:
        ended = space.apply(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
        equal(ended.returncode, 0)
        sent = b"".join(request.pbreq.SerializeToString() for request in collector.requests())
    assert b"pl_load" in sent, sent
    for word in (b"hunter2", b"emea", b"PASSWORD", b"password"):
        assert word not in sent, word


def check_a_flow_left_and_resumed_is_one_trace(space):
    with Collector() as collector, Workspace(space) as surroundings:
        surroundings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.address
        left = space.run("apply", "plan.yaml", "--detach", **surroundings)
        equal(left.returncode, 30)
        assert left.stderr.rstrip().endswith("synflow resume " + id_of_flow(left)), left.stderr
        equal(collector.spans(), [])
        ended = space.run("resume", **surroundings)
        equal(ended.returncode, 0)
        spans = collector.spans()
    equal(sorted(span.name for span in spans if span["activity.type"] is None), ["RUN traced", "alarm", "attempt curate", "attempt pl_load", "curate", "load"])
    within_their_parents(spans)
    one = {span.name: span for span in spans}
    equal(one["RUN traced"].events, ["detached", "resumed"])
    equal(one["attempt pl_load"]["run.origin"], "answered")
    equal({span["emulated"] for span in spans}, {False})


def check_a_flow_resumed_after_its_end_goes_on_in_its_trace(space):
    with Collector() as collector, Workspace(space, FAILS_TWICE) as surroundings:
        surroundings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.address
        equal(space.run("apply", "plan.yaml", **surroundings).returncode, 1)
        before = collector.spans()
        equal(space.run("resume", **surroundings).returncode, 0)
        after = collector.spans()[len(before) :]
    equal(len({span.trace for span in before + after}), 1)
    equal(len({span.id for span in before + after}), len(before + after))
    (first,) = (span for span in before if span.name == "RUN traced")
    (second,) = (span for span in after if span.name == "RUN traced")
    equal((second.links, second.parent), ([first.id], ""))
    assert second.start >= first.end, (first, second)
    within_their_parents(before)
    within_their_parents(after)
    equal([span["attempt"] for span in after if span.name == "attempt pl_load"], [3])


def check_a_job_that_names_its_span_is_the_parent(space):
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with Collector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
        equal(space.apply(TRACEPARENT=f"00-{trace}-{span}-01", **settings).returncode, 0)
        spans = collector.spans()
        equal({span.trace for span in spans}, {trace})
        equal([span.parent for span in spans if span.name == "RUN traced"], [span])
        # A trace that whoever began it does not keep.
        equal(space.apply(TRACEPARENT=f"00-{trace}-{span}-00", **settings).returncode, 0)
        equal(len(collector.spans()), len(spans))
        # What is no such name counts for nothing.
        equal(space.apply(TRACEPARENT="tomorrow", **settings).returncode, 0)
        assert trace not in {span.trace for span in collector.spans()[len(spans) :]}


def check_the_standards_variables_are_heeded(space):
    with Collector() as collector:
        ended = space.apply(
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.address + "/v1/traces",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_HEADERS="x-team=data%20platform,authorization=Bearer abc",
            OTEL_SERVICE_NAME="nightly",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod,service.version=9",
        )
        equal((ended.returncode, ended.stderr.count("note:")), (0, 0))
        headers = {name.lower(): value for name, value in collector.requests()[0].headers.items()}
        resource = collector.spans()[0].resource
    equal((headers["x-team"], headers["authorization"]), ("data platform", "Bearer abc"))
    equal(headers["content-type"], "application/x-protobuf")
    equal((resource["service.name"], resource["deployment.environment.name"]), ("nightly", "prod"))


def check_nothing_is_sent_where_that_is_said(space):
    with Collector() as collector:
        for silent in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
            ended = space.apply(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, **silent)
            equal((ended.returncode, ended.stderr.count("note:")), (0, 0))
        equal(space.apply().returncode, 0)
        equal(space.run("rehearse", "plan.yaml", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address).returncode, 0)
        equal(collector.requests(), [])


# What goes wrong.


def check_a_collector_that_is_not_there_is_one_note(space):
    port = free_port()
    ended = space.apply(
        script=FAILS_ONCE,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_BSP_SCHEDULE_DELAY="20",
    )
    equal(ended.returncode, 0)
    want = f"note: traces do not reach 127.0.0.1:{port}: the connection was refused; the flow is not affected"
    equal((ended.stderr.count(want), ended.stderr.count("note:")), (1, 1))


def check_a_collector_that_never_answers_holds_nothing_up(space):
    with Silence() as silence:
        begun = time.monotonic()
        ended = space.apply(OTEL_EXPORTER_OTLP_ENDPOINT=silence.address)
        took = time.monotonic() - begun
    equal(ended.returncode, 0)
    equal(ended.stderr.count("note: traces do not reach"), 1)
    assert "no answer in time" in ended.stderr, ended.stderr
    assert 3 <= took < 15, took


def check_a_signal_does_not_wait_for_the_collector(space):
    script = "pipelines: { pl_load: { duration: 20ms }, curate: { duration: 10m } }\n"
    with Silence() as silence, Workspace(space, script) as surroundings:
        surroundings["OTEL_EXPORTER_OTLP_ENDPOINT"] = silence.address
        command = space.command("apply", "plan.yaml")
        process = subprocess.Popen(
            command, cwd=space.folder, env=space.environment(**surroundings), stderr=subprocess.PIPE, text=True
        )
        try:
            for line in process.stderr:
                if re.search(r"curate +started", line):
                    break
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            equal(process.wait(LIMIT_SECS), 30)
            took = time.monotonic() - begun
        finally:
            process.kill()
    assert took < 2, took
    lines = rest.rstrip().splitlines()
    equal(sum("note: traces do not reach" in line for line in lines), 1)
    assert re.search(r"synflow resume [0-9a-f]{6}$", lines[-1]), rest


def check_a_collector_that_refuses_is_named(space):
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.send_response(401)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = space.apply(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://me:hunter3@127.0.0.1:{server.server_port}")
    server.shutdown()
    equal(ended.returncode, 0)
    want = f"traces do not reach 127.0.0.1:{server.server_port}: it answered 401 Unauthorized; the flow"
    equal(ended.stderr.count(want), 1)
    assert "hunter3" not in ended.stderr, ended.stderr


def check_what_cannot_be_used_is_said_once(space):
    unfit = "it is no http or https address, such as http://localhost:4318"
    protocol = "asks for `grpc`, and synflow speaks http/protobuf alone; collectors take that at port 4318"
    general, special = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    for settings, asks, why in (
        ({general: "localhost:4318"}, general, unfit),
        ({special: "grpc://localhost:4317"}, special, unfit),
        ({general: "http://"}, general, unfit),
        (
            {general: "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            general,
            f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol}",
        ),
    ):
        ended = space.apply(**settings)
        equal(ended.returncode, 0)
        equal(re.findall("note: (.*)", ended.stderr), [f"{asks} asks for traces, and none are sent: {why}"])



def main(words):
    # The collectors would say each request.
    BaseHTTPRequestHandler.log_message = lambda *_: None
    checks = [(name, check) for name, check in globals().items() if name.startswith("check_")]
    failed, ran = 0, 0
    for name, check in checks:
        if words and not any(word in name for word in words):
            continue
        ran += 1
        try:
            with tempfile.TemporaryDirectory() as folder:
                check(Space(folder))
        except Exception:
            failed += 1
            print(f"FAILED {name}")
            traceback.print_exc(file=sys.stdout)
        else:
            print(f"ok     {name}")
    print(f"{ran - failed} passed, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
