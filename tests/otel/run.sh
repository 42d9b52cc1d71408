#!/usr/bin/env bash
# Lets a `synflow` built with the feature `otel` send its traces to a collector that is not ours, and compares what arrives.
#
# Needs python3 with venv and a binary: target/debug/synflow after `cargo build --features otel`, or the one SYNFLOW_BIN
# names. Arguments are words; with any, only the checks whose names hold one of them run.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/otel
work=target/otel
venv=$work/venv
export SYNFLOW_BIN="${SYNFLOW_BIN:-target/debug/synflow}"

if [ ! -x "$SYNFLOW_BIN" ]; then
  echo "there is no $SYNFLOW_BIN; run \`cargo build --features otel\` first, or name a binary in SYNFLOW_BIN" >&2
  exit 2
fi

# The stamp is written last: an installation that broke off is done again.
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  rm -rf "$venv"
  mkdir -p "$work"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

# Everything is on loopback, and nothing of the caller's own telemetry may leak into the checks.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
for name in $(compgen -e); do
  case $name in OTEL_* | TRACEPARENT | TRACESTATE | AZURE_* | SYNFLOW_STATE_DIR) unset "$name" ;; esac
done

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/check.py" "$@"
