#!/bin/sh
# clang-tidy over host code, targets, tests, examples and, where the build has them, benchmarks, and
# through them the headers that .clang-tidy names, the public ones included; .clang-tidy lists the
# checks.
# Kernels are left out: they are no C++ that clang-tidy could read, and three compilers warn of them;
# dense_host.cpp with them, whose flags are g++'s.
# A folder is read as one file where it can be: most of the time goes into the headers that its files
# share.
# The static analyzer takes several times as long as all others together: `full` adds it.
# Usage: tidy.sh BUILD_DIR [full]
set -eu
cd "$(dirname "$0")/../.."
build=$1
command -v clang-tidy >/dev/null || { echo "skipped: no clang-tidy here"; exit 77; }
[ -f "$build/compile_commands.json" ] || { echo "skipped: $build has no compile_commands.json"; exit 77; }

. tests/checks/host_folders.sh

checks=-clang-analyzer-*
[ "${2:-}" != full ] || checks=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# CHECKS OPTION...: the sources on stdin. The configuration is that of the folder a source is in.
tidy() {
  beside=$1
  shift
  xargs -r -P "$(nproc)" -n 1 clang-tidy --quiet --checks="$checks,-bugprone-suspicious-include$beside" \
    --header-filter='(include/curvseg|host|kernels|tests|perf|examples|planted)/.*\.[ch]pp$' \
    --extra-arg=-Wno-unknown-warning-option "$@" 2>/dev/null
}

# A check that looks at nothing would look like a success: here is what it must find in a header, and
# in a file that a folder's file includes.
mkdir -p "$work/planted" "$work/folders"
cp .clang-tidy "$work"
defect='inline bool planted_defect(const std::string& text) { return text.size() == 0; }'
for end in hpp cpp; do
  printf '#include <string>\n%s\n' "$defect" >"$work/planted/planted.$end"
  echo "#include \"$work/planted/planted.$end\"" >"$work/planted.cpp"
  echo "$work/planted.cpp" | tidy "" --extra-arg=-std=c++20 -p "$work" >"$work/found" || true
  grep -q "planted.$end.*readability-container-size-empty" "$work/found" ||
    { echo "tidy.sh does not see a defect in an included .$end"; cat "$work/found"; exit 1; }
done

host_folders "$build" "$work/folders" >"$work/names" ||
  { echo "tidy: $build does not compile host"; exit 1; }
sed "s,.*,$work/folders/&.cpp," "$work/names" | tidy "" -p "$work/folders" || status=1

# The rest by the commands of this build, so that what it leaves out is left out here too.
grep -oE '"file": "[^"]*\.(cpp|cxx)"' "$build/compile_commands.json" | sed 's/.*: "\(.*\)"/\1/' |
  grep -E "^$PWD/(kernels/exec|tests|perf)/|/tests/.*/Unity/unity_" | grep -v '/dense_host\.cpp$' |
  sort -u >"$work/sources"
[ -s "$work/sources" ] || { echo "tidy: $build compiles none of kernels, tests and perf"; exit 1; }
# A folder's file of the tests is in the build, where tests/.clang-tidy is not found.
of_tests=$(sed -n 's/^  \(-[^,]*\),*$/,\1/p' tests/.clang-tidy | tr -d '\n')
grep '/Unity/' "$work/sources" | tidy "$of_tests" --config-file=.clang-tidy -p "$build" || status=1
grep -v '/Unity/' "$work/sources" | tidy "" -p "$build" || status=1

# They are built against an installed copy, each by a project of its own.
ls examples/*.cpp tests/consumer/*.cpp |
  tidy "" --extra-arg=-std=c++20 --extra-arg=-Iinclude --extra-arg='-DEXPECTED_VERSION="0"' \
    -p "$work" || status=1
exit $status
