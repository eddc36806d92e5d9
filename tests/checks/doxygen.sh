#!/bin/sh
# Doxygen over the public headers: no warning. Types, enumerations and free functions need a
# comment; members may speak for themselves, so that `int stride = 1` needs none.
# Usage: doxygen.sh DOXYFILE
set -eu
command -v doxygen >/dev/null || { echo "skipped: no doxygen here"; exit 77; }

warnings=$(doxygen "$1" 2>&1 >/dev/null |
  grep -v -E 'of (class|struct|union) .+ is not documented\.$' || true)
[ -z "$warnings" ] || { echo "$warnings"; exit 1; }
