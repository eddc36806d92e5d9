#!/bin/sh
# Every folder of host/ compiles as one file, as the preset `demo` builds it: no two files there give
# one name to two things. Usage: unity_build.sh CXX BUILD_DIR
set -eu
cd "$(dirname "$0")/../.."
. tests/checks/host_folders.sh
cxx=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
host_folders "$2" "$work" >"$work/names" || { echo "skipped: $2 does not compile host"; exit 77; }

check() {  # the names on stdin; one of the warnings is known to g++ alone
  xargs -P "$(nproc)" -I{} "$cxx" -std=c++20 -fsyntax-only -Wall -Wextra -Wshadow \
    -Wno-missing-field-initializers -Wno-unknown-warning-option -Wno-subobject-linkage -Werror \
    -I. "@$work/{}.flags" "$work/{}.cpp"
}

# A check that lets everything pass would look like a success: here is what it has to find.
echo 'namespace { constexpr int kTwice = 1; }' | tee "$work/first.hpp" >"$work/second.hpp"
printf '#include "%s"\n' "$work/first.hpp" "$work/second.hpp" >"$work/planted.cpp"
cp "$work/io.flags" "$work/planted.flags"
! echo planted | check 2>"$work/found" && grep -q 'redefinition of.*kTwice' "$work/found" ||
  { echo "unity_build: does not see a name given twice"; cat "$work/found"; exit 1; }

check <"$work/names" || exit 1
echo "unity_build: $(wc -l <"$work/names") folders"
