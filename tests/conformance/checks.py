"""What a check is: a name, a function that raises when something is wrong, and a line of output."""

import json
import sys
import time
import traceback

from azure.core.exceptions import HttpResponseError


class Wrong(Exception):
    """The emulator's answer is not what the vendor's client, or the protocol, wants."""


class Checks:
    """Runs checks one after the other, and counts."""

    def __init__(self, words):
        self.words = words
        self.passed = 0
        self.failed = 0

    def section(self, title, checks, world):
        """Runs the functions of one section. A check's name is its function's docstring."""
        for check in checks:
            name = f"{title}: {check.__doc__}"
            if self.words and not any(word in name for word in self.words):
                continue
            began = time.monotonic()
            try:
                check(world)
            except Wrong as wrong:
                self._fail(name, str(wrong))
            except HttpResponseError as error:
                self._fail(name, f"{place()}: unexpected {told(error)}")
            except Exception as error:  # A check that breaks has failed, and the next one still runs.
                self._fail(name, f"{place()}: {type(error).__name__}: {error}")
            else:
                self.passed += 1
                print(f"ok   {name} ({time.monotonic() - began:.1f}s)", flush=True)

    def broke(self, title, error):
        """Counts a section whose emulator did not even start."""
        self._fail(f"{title}: the emulator starts", str(error))

    def end(self):
        """Prints how many checks were made and how they went. Returns the exit code."""
        print(f"\n{self.passed + self.failed} checks made with the vendor's SDK")
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed > 0 else 1

    def _fail(self, name, reason):
        self.failed += 1
        print(f"FAIL {name}\n     {reason}", flush=True)


def equal(what, got, wanted):
    """Checks that two values are the same."""
    if got != wanted:
        raise Wrong(f"{what}: wanted {wanted!r}, got {got!r}")


def true(what, condition):
    """Checks that something holds."""
    if not condition:
        raise Wrong(f"not so: {what}")


def holds(what, text, *parts):
    """Checks that a text holds all the parts."""
    for part in parts:
        if part not in str(text):
            raise Wrong(f"{what}: no {part!r} in {text!r}")


def refused(call, kind=HttpResponseError):
    """Makes a call that must raise exactly this exception, and returns it."""
    try:
        result = call()
    except kind as error:
        # HttpResponseError is the root of all of them: a 404 must not pass for a 403.
        if type(error) is not kind:
            raise Wrong(f"wanted {kind.__name__}, got {type(error).__name__}: {error}") from error
        return error
    except Exception as error:
        raise Wrong(f"wanted {kind.__name__}, got {type(error).__name__}: {error}") from error
    raise Wrong(f"wanted {kind.__name__}, got an answer: {result!r}")


def flat(error, status, code, *parts):
    """Checks an error in the definitions' shape: `{"code","message"}`."""
    equal("status", error.status_code, status)
    body = json.loads(error.response.text())
    equal("code of the flat error", body.get("code"), code)
    holds("message", body.get("message"), *parts)


def wrapped(error, status, code, *parts):
    """Checks an error in the shape the SDK itself understands: `{"error":{"code","message"}}`."""
    equal("status", error.status_code, status)
    true(f"the SDK understood the error body: {error.response.text()!r}", error.error is not None)
    equal("code of the wrapped error", error.error.code, code)
    holds("message", error.error.message, *parts)


def until(what, look, seconds=20.0):
    """Looks again and again until there is something to see, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Wrong(f"not within {seconds:.0f}s: {what}")
        time.sleep(0.02)


def told(error):
    """Returns a service error in one line."""
    body = ""
    if error.response is not None:
        try:
            body = error.response.text()
        except Exception:  # Whatever is left of a broken answer says nothing more.
            body = "(no body)"
    return f"{type(error).__name__} {error.status_code}: {body or error.message}"


def place():
    """Returns where in a check the exception under way came from."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    own = [frame for frame in frames if "/conformance/" in frame.filename and "site-packages" not in frame.filename]
    return f"{own[-1].filename.rsplit('/', 1)[-1]}:{own[-1].lineno}" if own else "?"
