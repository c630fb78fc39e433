#!/usr/bin/env bash
# Calls a running server in thousands of ways that its OpenAPI document allows, and some that it
# forbids: no answer may be one that the document does not tell of. Usage: ci/schemathesis.sh LARDER
# with the built binary. Closes with `1 passed, 0 failed`.
set -uo pipefail
binary=$1
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
case $target in /*) ;; *) target="$PWD/$target" ;; esac
place="$target/schemathesis"
fail() { printf '%s\n0 passed, 1 failed\n' "$*"; exit 1; }

if [ ! -x "$place/bin/schemathesis" ]; then
  python3 -m venv "$place" || fail 'no virtual environment: install python3-venv'
  "$place/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4,<5' || fail 'schemathesis cannot be had'
fi

work=$(mktemp -d)
HOME="$work" "$binary" demo --listen 127.0.0.1:0 --json >"$work/out" 2>"$work/err" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -s "$work/out" ] && break; sleep 0.1; done
url=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["url"])' "$work/out") || fail "$(cat "$work/err")"

# The event stream never ends by itself, so it is not called here.
cd "$work" && "$place/bin/schemathesis" run "$url/openapi.json" --exclude-path /api/v1/events \
  --checks all --max-examples 40 --seed 1 --workers 1 --request-timeout 20 || fail 'the server answers otherwise than it says'
printf '1 passed, 0 failed\n'
