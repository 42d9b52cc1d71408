#!/usr/bin/env bash
# Drives `synflow emulate --tls` with the vendor's own Python SDK, unmodified.
#
# Needs python3 with venv and a built binary: target/debug/synflow, or the one SYNFLOW_BIN names.
# Arguments are words; with any, only the checks whose names hold one of them run.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/conformance
work=target/conformance
export SYNFLOW_BIN="${SYNFLOW_BIN:-target/debug/synflow}"

if [ ! -x "$SYNFLOW_BIN" ]; then
  echo "there is no $SYNFLOW_BIN; run \`cargo build\` first, or name a binary in SYNFLOW_BIN" >&2
  exit 2
fi

source tests/venv.sh
make_venv "$work" "$here/requirements.txt"

# Everything is on loopback: no proxy, and no certificate but the emulator's own.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
# Nothing of the caller's own sign-in may leak into the checks.
for name in $(compgen -e); do
  case $name in AZURE_* | IDENTITY_* | MSI_*) unset "$name" ;; esac
done

PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/conformance.py" "$@"
