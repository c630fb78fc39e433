#!/bin/sh
# Fetches GitHub's official GraphQL schema once into target/github-schema and prints its path, so
# that the tests can check every query by it: LARDER_GITHUB_SCHEMA=$(ci/github-schema.sh).
# It is never committed. Delete the directory to fetch a newer one.
set -eu

cd "$(dirname "$0")/.."
place="${CARGO_TARGET_DIR:-$PWD/target}/github-schema"
schema="$place/schema.graphql"

if [ ! -s "$schema" ]; then
    mkdir -p "$place"
    work=$(mktemp -d "$place/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    if ! (cd "$work" && npm pack --silent @octokit/graphql-schema >/dev/null); then
        echo "error: GitHub's GraphQL schema could not be fetched (npm pack @octokit/graphql-schema)" >&2
        echo "hint: with npm and a network once, target/github-schema keeps it for later runs" >&2
        exit 1
    fi
    tar -xzf "$work"/*.tgz -C "$work" package/schema.graphql
    # The published file repeats fields within a type, which the specification forbids: the first
    # of each stays, and a repeated one goes with its description.
    awk '
        function flush() { printf "%s", held; held = "" }
        in_text { held = held $0 "\n"; if ($0 ~ /"""[ \t]*$/) in_text = 0; next }
        /^  """/ { held = held $0 "\n"; if ($0 !~ /""".*"""[ \t]*$/) in_text = 1; next }
        /^(type|interface|input) / { flush(); split("", seen); print; next }
        dropping { if ($0 ~ /^  \)/) { dropping = 0; } next }
        /^  [_A-Za-z0-9]+[(:]/ {
            name = $1; sub(/[(:].*/, "", name)
            if (name in seen) { held = ""; if ($0 ~ /\($/) dropping = 1; next }
            seen[name] = 1
        }
        { flush(); print }
    ' "$work/package/schema.graphql" >"$work/schema.graphql"
    mv "$work/schema.graphql" "$schema"
fi
echo "$schema"
