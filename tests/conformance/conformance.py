"""Checks that the vendor's own Python SDK, unmodified, works against `synflow emulate --tls` as it does
against Azure. Every public function of a section's module is one check; `run.sh` says how to start this."""

import inspect
import logging
import sys

import access
import definitions
import faults
import queries
import runs
import sign_in
from checks import Checks
from emulator import Emulator

# Each script gives one emulator; its sections run one after the other.
SECTIONS = (
    ("workspace", (("sign-in", sign_in), ("definitions", definitions), ("runs", runs), ("access", access))),
    ("queries", (("queries", queries),)),
    ("faults", (("faults", faults),)),
)


def main(words):
    # The libraries tell of every refusal; the checks say which of them were wanted.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    logging.getLogger("azure").propagate = False
    checks = Checks(words)
    for script, sections in SECTIONS:
        try:
            world = Emulator(script)
        except Exception as error:  # Without an emulator none of its checks can pass.
            checks.broke(script, error)
            continue
        with world:
            for title, module in sections:
                checks.section(title, _checks_of(module), world)
    return checks.end()


def _checks_of(module):
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [function for name, function in functions if function.__module__ == module.__name__ and name[0] != "_"]
    return sorted(own, key=lambda function: function.__code__.co_firstlineno)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
