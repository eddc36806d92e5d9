#!/bin/sh
# Every source is as .clang-format wants it. Usage: format.sh [--fix]
set -eu
cd "$(dirname "$0")/../.."

wanted=14
tool=$(command -v clang-format-$wanted || command -v clang-format || true)
[ -n "$tool" ] || { echo "skipped: no clang-format here"; exit 77; }
version=$("$tool" --version | sed 's/.*version \([0-9]*\).*/\1/')
[ "$version" = $wanted ] || {
  echo "skipped: clang-format $version lays code out differently from $wanted"
  exit 77
}

find include kernels host tests perf examples \
  \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' \) -print 2>/dev/null | sort >"${TMPDIR:-/tmp}/format.$$"
trap 'rm -f "${TMPDIR:-/tmp}/format.$$"' EXIT
if [ "${1:-}" = --fix ]; then
  xargs "$tool" -i <"${TMPDIR:-/tmp}/format.$$"
elif ! xargs "$tool" --dry-run -Werror <"${TMPDIR:-/tmp}/format.$$"; then
  echo "format: tests/checks/format.sh --fix lays these files out"
  exit 1
fi
