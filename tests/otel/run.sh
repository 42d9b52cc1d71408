#!/usr/bin/env bash
# Lets a `synflow` built with the feature `otel` send its traces to a collector that is not ours, and compares what arrives.
#
# Needs python3 with venv and a binary: target/debug/synflow after `cargo build --features otel`, or the one SYNFLOW_BIN
# names. Arguments are words; with any, only the checks whose names hold one of them run.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/otel
work=target/otel
export SYNFLOW_BIN="${SYNFLOW_BIN:-target/debug/synflow}"

if [ ! -x "$SYNFLOW_BIN" ]; then
  echo "there is no $SYNFLOW_BIN; run \`cargo build --features otel\` first, or name a binary in SYNFLOW_BIN" >&2
  exit 2
fi

source tests/venv.sh
make_venv --partial "$work" "$here/requirements.txt"

# Everything is on loopback, and nothing of the caller's own telemetry may leak into the checks.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
for name in $(compgen -e); do
  case $name in OTEL_* | TRACEPARENT | TRACESTATE | AZURE_* | SYNFLOW_STATE_DIR) unset "$name" ;; esac
done

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$@"
