#!/usr/bin/env bash
# Opens reports in a browser and holds their JUnit XML against its schema: see README.md. Needs python3 with venv, Chromium and the
# binary, built before; SYNFLOW names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/report
work=target/report

source tests/venv.sh
make_venv "$work" "$here/requirements.txt"

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "${SYNFLOW:-target/debug/synflow}" "$@"
