#!/usr/bin/env bash
# Writes crates/cli/startup.ld: which functions a command calls that lists what lies ready, by which a release
# is linked so that they lie together (crates/cli/build.rs says what that is worth). To be run when commands
# do their work by other functions than before; what is named there and is no more does no harm.
# Needs valgrind (installed through apt where missing).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v valgrind >/dev/null 2>&1; then
  as=()
  [ "$(id -u)" -eq 0 ] || as=(sudo)
  "${as[@]}" apt-get update -qq
  "${as[@]}" apt-get install -y -qq --no-install-recommends valgrind
fi

target=$(realpath "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --release -p larder
seen=$(mktemp -d)
trap 'rm -rf "$seen"' EXIT
# The benchmarks' own builds take its place.
larder=$seen/released
cp "$target/release/larder" "$larder"

# The benchmarks of whole commands bring the caches. Of each command that lists, the second run is looked at:
# the first may have had to fill its cache.
cat >"$seen/larder" <<END
#!/usr/bin/env bash
name=\$(printf '%s' "\${LARDER_STORE__URL%%:*} \$*" | sed 's#/[^ ]*##g' | tr -c 'a-z0-9\n' '_')
if [ "\${name/refresh/}" = "\$name" ] && [ -e "$seen/\$name.once" ] && [ ! -e "$seen/\$name.calls" ]; then
  exec valgrind -q --tool=callgrind --demangle=no --callgrind-out-file="$seen/\$name.calls" "$larder" "\$@"
fi
touch "$seen/\$name.once"
exec "$larder" "\$@"
END
chmod +x "$seen/larder"
for bench in trackers cold; do
  LARDER_BIN=$seen/larder cargo bench --quiet -p larder --bench "$bench" >/dev/null
done
for _ in 1 2; do
  LARDER_STORE__URL='' "$seen/larder" --version >/dev/null
done

# A compiler's hash is left out of a name, so that the next compiler finds the function too; unless so many
# have that name without it that they would fill more than the one that is called.
{
  nm --print-size --defined-only "$larder" | awk 'NF == 4 && tolower($3) ~ /[tw]/ { print "has", $4, $2 }'
  cat "$seen"/*.calls | sed -n 's/^c\?fn=([0-9]*) \([^ ]*\)$/calls \1/p' | sed "s/'[0-9]*$//"
} | awk '
  function stem(name) {
    sub(/17h[0-9a-f]+E/, "17h*E", name)
    sub(/\.[0-9]+$/, ".*", name)
    if (name ~ /^_R/) gsub(/Cs[0-9A-Za-z]+_/, "Cs*_", name)
    return name
  }
  function value(hex, n, i) {
    n = 0
    for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return n
  }
  $1 == "has" { size[$2] = value($3); of[stem($2)] += size[$2]; next }
  !($2 in size) { next }
  {
    name = stem($2)
    most = size[$2] * 2 > 4096 ? size[$2] * 2 : 4096
    if (of[name] > most) name = $2
    if (!(name in said)) { said[name] = 1; order[++count] = name }
  }
  END {
    print "/* Written by ci/startup-order.sh: what a command calls that lists what lies ready. */"
    print "SECTIONS {\n  .text.first : {"
    # What is called seldom, or once, by its maker's word, has a section of another name.
    for (i = 1; i <= count; i++)
      printf "    *(.text.%s .text.unlikely.%s .text.startup.%s)\n", order[i], order[i], order[i]
    print "  }\n}\nINSERT BEFORE .text;"
  }' >crates/cli/startup.ld
printf '%s functions\n' "$(grep -c '^    ' crates/cli/startup.ld)"
