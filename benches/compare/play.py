"""One contender against one fresh emulator: files, processes, and what they used."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request

import dag
import measure

HERE = os.path.dirname(os.path.abspath(__file__))
# What synflow keeps to by itself: 600 requests a minute at a beat of 5 seconds. A shorter beat is a faster clock.
REQUESTS_PER_MINUTE, BEAT_SECONDS = 600, 5
# What is left of the caller's environment: nothing of a sign-in, a proxy or a setting of synflow's.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")


class Child:
    """A command below `child.py`, in a process group of its own. Ends with its `with` block."""

    def __init__(self, folder, name, command, env, limit=None, **pipes):
        self.limit = limit
        self.usage = os.path.join(folder, f"{name}.usage.json")
        self.log = os.path.join(folder, f"{name}.log")
        lean = [sys.executable, "-I", "-S", os.path.join(HERE, "child.py"), self.usage]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*lean, *command],
                env=env,
                stdin=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
                **{"stdout": log, **pipes},
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Asks the command to end if it still runs, and waits."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def used(self):
        """Waits for the end and returns what the command used. Fails if it takes longer than its limit."""
        try:
            self.process.wait(self.limit)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"not done within {self.limit:.0f} s, see {self.log}") from error
        with open(self.usage, encoding="utf-8") as file:
            return json.load(file)


class Emulator(Child):
    """`synflow emulate --tls` that plays a graph and records every request."""

    def __init__(self, folder, case, nodes):
        script = write(folder, "script.yaml", dag.as_script(nodes, case.seed, round(case.latency * 1000)))
        self.recording = os.path.join(folder, "recording.json")
        command = [case.binary, "--state-dir", os.path.join(folder, "emulator"), "emulate", "--tls", "--port", "0"]
        command += ["--script", script, "--record", self.recording]
        super().__init__(folder, "emulator", command, environment(), stdout=subprocess.PIPE)
        self.settings = {}
        try:
            while "SYNAPSE_ENDPOINT" not in self.settings:
                name, _, value = self.process.stdout.readline().strip().partition("=")
                if not name:
                    raise RuntimeError(f"the emulator did not start, see {self.log}")
                self.settings[name] = value
        except BaseException:
            self.end()
            raise

    def runs(self):
        """Returns every run that it accepted, with its times."""
        trusted = ssl.create_default_context(cafile=self.settings["SYNFLOW_CA_FILE"])
        address = f"{self.settings['SYNAPSE_ENDPOINT']}/_emulator/record"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
        with opener.open(address, timeout=60) as answer:
            return json.load(answer)["runs"]


def environment(**more):
    """Returns what a child sees of the environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


def write(folder, name, text):
    """Writes a file and returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def synflow(folder, case, nodes, settings, state):
    """Returns the command of the contender `synflow`, as CI would run it, and its settings."""
    plan = write(folder, "plan.yaml", dag.as_plan(nodes, case.at_once, settings["SYNAPSE_ENDPOINT"], case.plan_lines))
    command = [case.binary, "--state-dir", state, "--ci", "none", "apply", plan, "--auth", "environment"]
    command += ["--quiet", "--progress", "none", "--beat", f"{case.beat_ms}ms", *case.apply_words]
    budget = case.requests_per_minute or round(REQUESTS_PER_MINUTE * BEAT_SECONDS / case.beat)
    return command, {"SYNFLOW_REQUESTS_PER_MINUTE": str(budget)}


def script(name):
    """Returns the function that makes the command of a contender in Python."""

    def command(folder, case, nodes, _settings, _state):
        graph = write(folder, "graph.json", dag.for_scripts(nodes, case.history))
        words = [graph, "--beat", str(case.beat), "--at-once", str(case.at_once)]
        return [sys.executable, os.path.join(HERE, f"{name}.py"), *words], {}

    return command


CONTENDERS = {"synflow": synflow, "each": script("each"), "list": script("list")}


def play(folder, name, case, nodes, state, keeps=False):
    """Lets a contender run a graph once, and returns its numbers. The recording is removed unless it `keeps` it: it may be large."""
    limit = 60 + 10 * case.beat * dag.bound(nodes, case.at_once, case.beat_ms)
    with Emulator(folder, case, nodes) as emulator:
        command, more = CONTENDERS[name](folder, case, nodes, emulator.settings, state)
        with Child(folder, name, command, environment(**emulator.settings, **more), limit) as contender:
            used = contender.used()
        runs = emulator.runs()
        emulator.end()
        numbers = measure.judge(case, nodes, runs, emulator.recording, used, emulator.used())
    if numbers["wrong"]:
        numbers["log"] = os.path.relpath(contender.log)
    if not keeps:
        os.remove(emulator.recording)
    return numbers
