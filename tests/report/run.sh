#!/usr/bin/env bash
# Opens reports in a browser and holds their JUnit XML against its schema: see README.md. Needs python3 with venv, Chromium and the
# binary, built before; SYNFLOW names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/report
work=target/report
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

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/check.py" "${SYNFLOW:-target/debug/synflow}" "$@"
