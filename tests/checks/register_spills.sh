#!/bin/sh
# The kernels keep their values in registers: ptxas reports no spills, for both architectures that
# machine code is made for. Usage: register_spills.sh NVCC SOURCE...
set -eu
cd "$(dirname "$0")/../.."
nvcc=${1:-none}
[ "$nvcc" != none ] || { echo "skipped: this build has no nvcc"; exit 77; }
shift
[ $# -gt 0 ] || { echo "register_spills: no sources to check"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for source; do
  for arch in sm_80 sm_90; do
    "$nvcc" -std=c++20 -cubin -arch=$arch -Xptxas -v -fmad=false --expt-relaxed-constexpr \
      -DCURVSEG_TARGET=target_cuda -Ikernels -Iinclude -o "$work/cubin" "$source" \
      >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    # Two lines a kernel: its name, then what its stack holds.
    awk -v arch=$arch -v source="${source##*/kernels/}" '
      /Compiling entry function/ { kernel = $7; ++kernels }
      /spill stores/ {
        ++reports
        if ($5 + $9 > 0) { print source ", " arch ", " kernel ": " $0; bad = 1 }
      }
      END {
        if (kernels == 0 || reports < kernels) { print source ": ptxas reported nothing"; bad = 1 }
        print source ", " arch ": " kernels " kernels"
        exit bad
      }' "$work/log" || status=1
  done
done
exit $status
