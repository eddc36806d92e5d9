#!/bin/sh
# clang-tidy over all host code and, through it, the public headers; .clang-tidy lists the checks.
# The static analyzer takes several times as long as all others together: `full` adds it.
# Usage: tidy.sh BUILD_DIR [full]
set -eu
cd "$(dirname "$0")/../.."
build=$1
command -v clang-tidy >/dev/null || { echo "skipped: no clang-tidy here"; exit 77; }
[ -f "$build/compile_commands.json" ] || { echo "skipped: $build has no compile_commands.json"; exit 77; }

checks=-clang-analyzer-*
[ "${2:-}" != full ] || checks=
# The commands of this build, so that what it leaves out is left out here too.
find host -name '*.cpp' | sort | while read -r source; do
  ! grep -q "/$source\"" "$build/compile_commands.json" || echo "$source"
done | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --checks="$checks" \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
