#!/usr/bin/env bash
# Holds schemas/plan.schema.json against all plans of the project with Python's `jsonschema`, as editors and other tools
# that are not ours would. Needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/schema
work=target/schema
venv=$work/venv

# The stamp is written last: an installation that broke off is done again.
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  rm -rf "$venv"
  mkdir -p "$work"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --requirement "$here/requirements.txt"
  "$venv/bin/python" -m pip check --disable-pip-version-check >/dev/null
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/check.py"
