#!/bin/sh
# The convolution kernels keep their accumulators in registers: ptxas reports no spills, for both
# architectures that machine code is made for. Usage: register_spills.sh NVCC
set -eu
cd "$(dirname "$0")/../.."
nvcc=${1:-}
[ -n "$nvcc" ] || { echo "skipped: this build has no nvcc"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for arch in sm_80 sm_90; do
  for source in conv2d/conv2d_gather conv2d/conv2d_weight_gradient; do
    "$nvcc" -std=c++20 -cubin -arch=$arch -Xptxas -v -fmad=false --expt-relaxed-constexpr \
      -DCURVSEG_TARGET=target_cuda -Ikernels -o "$work/cubin" kernels/$source.cu >"$work/log" 2>&1 ||
      { cat "$work/log"; exit 1; }
    # Two lines a kernel: its name, then what its stack holds.
    awk -v arch=$arch -v source=$source '
      /Compiling entry function/ { kernel = $7; ++kernels }
      /spill stores/ {
        ++reports
        if ($5 + $9 > 0) { print source ", " arch ", " kernel ": " $0; bad = 1 }
      }
      END {
        if (kernels == 0 || reports < kernels) { print source ": ptxas reported nothing"; bad = 1 }
        exit bad
      }' "$work/log" || status=1
  done
done
exit $status
