#!/usr/bin/env bash
# The OCI distribution-spec's own conformance suite, the newest, against `naru registry serve`, or, with HUB=1, `naru hub serve` with a
# password: bench/conformance.sh [VERSION…]. Versions: 1.0 1.1 dev; 1.1 and dev by default. Wants go, and its module proxy the first time. Ends with 1 if anything failed.
#   CONFORMANCE_STORE   /tmp/naru-conformance: where the suite and its reports are kept
set -euo pipefail
cd "$(dirname "$0")/.."
store=${CONFORMANCE_STORE:-/tmp/naru-conformance}
export PATH=$PWD/.venv/bin:$PATH
mkdir -p "$store"
[ -x "$store/conformance" ] || GOBIN=$store go install github.com/opencontainers/distribution-spec/conformance@latest
root=$(mktemp -d /tmp/naru-conformance.XXXX)
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
naru "$([ -n "${HUB:-}" ] && echo hub || echo registry)" serve --listen "127.0.0.1:$port" --data-root "$root" 2>"$store/registry.log" &
registry=$!
finish() { kill "$registry" 2>/dev/null || true; wait "$registry" || true; rm -rf "$root"; }
trap finish EXIT
until curl -s -o /dev/null "http://127.0.0.1:$port/v2/"; do kill -0 "$registry"; sleep 0.1; done
if [ -n "${HUB:-}" ]; then
  account='{"name": "ann", "email": "ann@example.org", "password": "correct horse"}'
  curl -sf -o /dev/null -H 'Content-Type: application/json' -d "$account" "http://127.0.0.1:$port/api/v1/accounts"
  export OCI_USERNAME=ann OCI_PASSWORD='correct horse' OCI_REPO1=ann/one OCI_REPO2=ann/two
fi
number() { sed -nE "s/^ *$1\.+: +([0-9]+)$/\1/p" "$2" | head -n 1; } # of the summary at the suite's end
failed=0
[ $# -gt 0 ] || set -- 1.1 dev
for version; do
  log=$store/$version.log
  OCI_REGISTRY=127.0.0.1:$port OCI_TLS=disabled OCI_VERSION=$version OCI_RESULTS_DIR=$store/$version "$store/conformance" >"$log" 2>&1 || failed=1
  echo "$version: $(number Pass "$log") passed, $(number FAIL "$log") failed, $(number Error "$log") errors: $store/$version/report.html"
  [ "$(number FAIL "$log")$(number Error "$log")" = 00 ] || failed=1
done
exit "$failed"
