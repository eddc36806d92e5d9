#!/bin/sh
# Kernels reach more than 2^31 elements: no 64-bit number becomes a 32-bit one without a cast. clang
# has a warning for that alone, g++ has none. Usage: wide_offsets.sh KERNEL...
set -eu
cd "$(dirname "$0")/../.."
command -v clang++ >/dev/null || { echo "skipped: no clang++ here"; exit 77; }

check() {  # FLAG: the kernels on stdin
  xargs -P "$(nproc)" -I{} clang++ -x c++ -std=c++20 -fsyntax-only -Ikernels -Iinclude -Werror \
    -Wno-everything -Wshorten-64-to-32 -DCURVSEG_TARGET=target_check "$1" {}
}

# A check that lets everything pass would look like a success: here is what it has to find.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/planted.cu" <<'PLANTED'
#include "exec/exec.hpp"
namespace curvseg::CURVSEG_TARGET {
struct Params {
  std::int64_t n;
  float* to;
};
static __global__ void planted(Params p) {
  for (const std::int64_t i : grid_range(p.n)) {
    const int narrow = i;
    p.to[narrow] = 0.0f;
  }
}
void plant(StreamHandle stream, const Params& p) {
  launch<planted>(stream, grid_for(p.n), kGridThreads, p);
}
}  // namespace curvseg::CURVSEG_TARGET
PLANTED
! echo "$work/planted.cu" | check -DCURVSEG_EMULATED 2>"$work/found" &&
  grep -q 'planted.cu:9.*Wshorten' "$work/found" ||
  { echo "wide_offsets.sh does not see a narrowing"; cat "$work/found"; exit 1; }

printf '%s\n' "$@" | check -DCURVSEG_HOST || exit 1      # the text of the host
printf '%s\n' "$@" | check -DCURVSEG_EMULATED || exit 1  # and of a GPU
