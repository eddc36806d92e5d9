#!/bin/sh
# Every folder of host/ compiles as one file, as the preset `demo` builds it: no two files there give
# one name to two things. Usage: unity_build.sh CXX BUILD_DIR
set -eu
cd "$(dirname "$0")/../.."
cxx=$1
commands=$2/compile_commands.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for folder in host/*/; do
  name=$(basename "$folder")
  find "$folder" -name '*.cpp' | sort | sed 's,.*,#include "&",' >"$work/$name.cpp"
  # Definitions and include paths of one of its files.
  first=$(sed -n '1s/.*"\(.*\)".*/\1/p' "$work/$name.cpp" | sed 's,//,/,')
  grep "\"command\".* -c [^ ]*/$first\"" "$commands" | head -1 | grep -oE ' (-D|-I|-isystem )[^ ]*' |
    sed 's/\\"/"/g; s/\\\\/\\/g' | tr '\n' ' ' >"$work/$name.flags"
  [ -s "$work/$name.flags" ] || { echo "skipped: this build compiles no $first"; exit 77; }
  echo "$name"
done >"$work/names"

check() {  # the names on stdin
  xargs -P "$(nproc)" -I{} sh -c \
    "$cxx -std=c++20 -fsyntax-only -Wall -Wextra -Wshadow -Wno-missing-field-initializers \
       -Wno-subobject-linkage -Werror -I. @'$work/{}.flags' '$work/{}.cpp'"
}

# A check that lets everything pass would look like a success: here is what it has to find.
printf '#include "%s"\n' "$work/first.cpp" "$work/second.cpp" >"$work/planted.cpp"
echo 'namespace { constexpr int kTwice = 1; }' >"$work/first.cpp"
cp "$work/first.cpp" "$work/second.cpp"
cp "$work/io.flags" "$work/planted.flags"
! echo planted | check 2>"$work/found" && grep -q 'redefinition of.*kTwice' "$work/found" ||
  { echo "unity_build: does not see a name given twice"; cat "$work/found"; exit 1; }

check <"$work/names" || exit 1
echo "unity_build: $(wc -l <"$work/names") folders"
