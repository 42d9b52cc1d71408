#!/usr/bin/env python3
"""Breaks the code on purpose, one breakage at a time, and demands that a test notices.

    tests/mutations/run.py            all of tests/mutations/mutations.json
    tests/mutations/run.py WORD...    those whose name holds one of the words

The tree is copied to target/mutations/tree; nothing outside target/ is touched. CARGO_TARGET_DIR chooses another
folder for what is built (target/mutations/build), so that dependencies need not be built again.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ROOT / "target" / "mutations" / "tree"
BUILD = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target" / "mutations" / "build"))
LONGEST_S = 1800


def copy_tree():
    shutil.rmtree(TREE, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    for name in filter(None, names):
        source = ROOT / os.fsdecode(name)
        if source.is_file():
            target = TREE / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def run(test):
    """Returns how a test ended: passed, failed, or that it did not even build or run."""
    environment = {**os.environ, "CARGO_TARGET_DIR": BUILD, "RUST_BACKTRACE": "0"}
    cargo = ["cargo", "test", "--quiet", "--test", "it"]
    built = subprocess.run(cargo + ["--no-run"], cwd=TREE, env=environment, capture_output=True, text=True)
    if built.returncode != 0:
        return "does not build", built.stderr
    try:
        done = subprocess.run(
            cargo + ["--", test], cwd=TREE, env=environment, capture_output=True, text=True, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return "failed", "it did not end"
    if "running 0 tests" in done.stdout:
        return "no such test", done.stdout
    return ("passed" if done.returncode == 0 else "failed"), done.stdout + done.stderr


def reason(text):
    lines = text.splitlines()
    panics = [at for at, line in enumerate(lines) if "panicked at" in line and at + 1 < len(lines)]
    return lines[panics[0] + 1].strip()[:90] if panics else text.strip()[-90:].replace("\n", " ")


def main():
    mutations = json.loads((ROOT / "tests" / "mutations" / "mutations.json").read_text())
    words = sys.argv[1:]
    chosen = [it for it in mutations if not words or any(word in it["name"] for word in words)]
    copy_tree()
    for test in sorted({it["test"] for it in chosen}):
        ended, text = run(test)
        print(f"{'the tree as it is':44} {test:44} {ended}", flush=True)
        if ended != "passed":
            sys.exit(f"the tree as it is must pass {test}:\n{text[-3000:]}")
    missed = []
    for it in chosen:
        path = TREE / it["file"]
        whole = path.read_text()
        assert whole.count(it["find"]) == 1, f"{it['name']}: its text must stand once in {it['file']}"
        path.write_text(whole.replace(it["find"], it["replace"]))
        began = time.monotonic()
        ended, text = run(it["test"])
        path.write_text(whole)
        took = time.monotonic() - began
        print(f"{it['name']:44} {it['test']:44} {ended} in {took:.0f}s: {reason(text)}", flush=True)
        if ended != "failed":
            missed.append(it["name"])
    if missed:
        sys.exit("not caught: " + ", ".join(missed))
    print(f"all {len(chosen)} were caught")


main()
