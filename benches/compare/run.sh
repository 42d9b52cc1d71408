#!/usr/bin/env bash
# Lets synflow and two scripts with the vendor's Python SDK run the same graphs of pipelines: see README.md.
#
# Needs python3 (3.11 or newer) with venv and a built binary: target/release/synflow, or the one SYNFLOW_BIN names.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=benches/compare
work=target/compare
binary="${SYNFLOW_BIN:-target/release/synflow}"

if [ ! -x "$binary" ]; then
  echo "there is no $binary; run \`cargo build --release\` first, or name a binary in SYNFLOW_BIN" >&2
  exit 2
fi

source tests/venv.sh
make_venv "$work" tests/conformance/requirements.txt "$here/requirements.txt"

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/compare.py" --binary "$binary" --work "$work" "$@"
