#!/usr/bin/env bash
# Holds schemas/plan.schema.json against all plans of the project with Python's `jsonschema`, as editors and other tools
# that are not ours would. Needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/schema
work=target/schema

source tests/venv.sh
make_venv "$work" "$here/requirements.txt"

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py"
