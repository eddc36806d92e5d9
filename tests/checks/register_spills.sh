#!/bin/sh
# The kernels keep their values in registers: the build itself fails where ptxas has to spill one, on
# any architecture that machine code is made for. Here is checked that it would, for every kernel.
# Usage: register_spills.sh BUILD_DIR SOURCE...
set -eu
cd "$(dirname "$0")/../.."
commands=$1/compile_commands.json
shift
[ $# -gt 0 ] || { echo "register_spills: no sources to check"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep '"command".* -DCURVSEG_TARGET=target_cuda ' "$commands" >"$work/commands" ||
  { echo "skipped: this build has no cuda target"; exit 77; }
grep -q -e '-Xptxas=-Werror' "$work/commands" ||
  { echo "skipped: warnings are no errors in this build"; exit 77; }
for source; do
  grep -e "-Xptxas=-warn-spills .*-Xptxas=-Werror .* -c $source " "$work/commands" >"$work/command" ||
    { echo "register_spills: nobody looks for spills in $source"; exit 1; }
done

# More values than 1024 threads have registers for, by the command of the last source.
cat >"$work/planted.cu" <<'PLANTED'
__global__ void __launch_bounds__(1024) planted(float* p, int n) {
  float kept[128];
#pragma unroll
  for (int i = 0; i < 128; ++i) kept[i] = p[i * n + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 128; ++i) p[i * n + threadIdx.x] = kept[127 - i] * kept[i];
}
PLANTED
planted=$(sed -e 's/^ *"command": "//' -e 's/",\{0,1\}$//' -e 's/\\"/"/g' \
  -e "s, -c .* -o .*, -c $work/planted.cu -o $work/planted.o," "$work/command")
! sh -c "$planted" >"$work/log" 2>&1 && grep -q 'planted.*spill' "$work/log" ||
  { echo "register_spills: a kernel that spills was compiled"; cat "$work/log"; exit 1; }
echo "register_spills: $# sources are compiled by a command that refuses to spill"
