#!/bin/sh
# clang-tidy over host code, targets, tests, examples and, where the build has them, benchmarks, and
# through them the headers that .clang-tidy names, the public ones included; .clang-tidy lists the
# checks.
# Kernels are left out: they are no C++ that clang-tidy could read, and three compilers warn of them;
# dense_host.cpp with them, whose flags are g++'s.
# The static analyzer takes several times as long as all others together: `full` adds it.
# Usage: tidy.sh BUILD_DIR [full]
set -eu
cd "$(dirname "$0")/../.."
build=$1
command -v clang-tidy >/dev/null || { echo "skipped: no clang-tidy here"; exit 77; }
[ -f "$build/compile_commands.json" ] || { echo "skipped: $build has no compile_commands.json"; exit 77; }

checks=-clang-analyzer-*
[ "${2:-}" != full ] || checks=

tidy() {  # OPTION...: the sources on stdin
  xargs -P "$(nproc)" -n 4 clang-tidy --quiet --checks="$checks" \
    --extra-arg=-Wno-unknown-warning-option "$@" 2>/dev/null
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# A check that looks at nothing would look like a success: here is what it must find in a header.
mkdir -p "$work/include/curvseg"
cp .clang-tidy "$work"
cat >"$work/include/curvseg/planted.hpp" <<'PLANTED'
#include <string>
inline bool planted_defect(const std::string& text) { return text.size() == 0; }
PLANTED
echo '#include "curvseg/planted.hpp"' >"$work/planted.cpp"
echo "$work/planted.cpp" |
  tidy --extra-arg=-std=c++20 --extra-arg=-I"$work/include" -p "$work" >"$work/found" || true
grep -q 'planted.hpp.*readability-container-size-empty' "$work/found" ||
  { echo "tidy.sh does not see a defect in a public header"; cat "$work/found"; exit 1; }

# The commands of this build, so that what it leaves out is left out here too.
find host kernels/exec tests perf -name '*.cpp' ! -name dense_host.cpp | sort | while read -r source; do
  ! grep -q "/$source\"" "$build/compile_commands.json" || echo "$source"
done >"$work/sources"
[ -s "$work/sources" ] || { echo "tidy: $build compiles none of host, kernels, tests and perf"; exit 1; }
tidy -p "$build" <"$work/sources" || status=1

# They are built against an installed copy, each by a project of its own.
ls examples/*.cpp tests/consumer/*.cpp |
  tidy --extra-arg=-std=c++20 --extra-arg=-Iinclude --extra-arg='-DEXPECTED_VERSION="0"' \
    -p "$work" || status=1
exit $status
