#!/usr/bin/env bash
# The browser test, on a machine with cargo, node, npm and Debian's Chromium: builds the example
# `site` and the command line, and clicks through the pages of both. Screenshots go to target/browser.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../../../.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
case $target in /*) ;; *) target="$PWD/$target" ;; esac
cargo build --manifest-path "$root/Cargo.toml" -q -p larder-server --example site
cargo build --manifest-path "$root/Cargo.toml" -q -p larder
cd "$here"
npm ci --silent --no-audit --no-fund --ignore-scripts
exec node run.mjs "$target/debug/examples/site" "$target/debug/larder" "$target/browser" "$@"
