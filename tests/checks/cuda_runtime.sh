#!/bin/sh
# CURVSEG_CUDA_SHARED_RUNTIME decides which CUDA runtime is linked, and there is never a second one
# beside it. Configures, builds nothing. Usage: cuda_runtime.sh NVCC
set -eu
cd "$(dirname "$0")/../.."
nvcc=${1:-none}
[ "$nvcc" != none ] || { echo "skipped: this build has no nvcc"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for shared in OFF ON; do
  cmake -S . -B "$work/$shared" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER="$nvcc" \
    -DCURVSEG_CUDA=ON -DCURVSEG_CUDA_SHARED_RUNTIME=$shared -DCURVSEG_EMULATED=OFF \
    -DCURVSEG_BUILD_TESTS=OFF >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  wanted=cudart_static other='libcudart\.so|-lcudart( |$)'
  [ $shared = OFF ] || { wanted='libcudart\.so' other=cudart_static; }
  libraries=$(sed -n '/^build host\/curvseg:/,/^$/s/^ *LINK_LIBRARIES = //p' "$work/$shared/build.ninja")
  echo "$libraries" | grep -qE "$wanted" ||
    { echo "CURVSEG_CUDA_SHARED_RUNTIME=$shared links no $wanted: $libraries"; status=1; }
  ! echo "$libraries" | grep -E "$other" ||
    { echo "CURVSEG_CUDA_SHARED_RUNTIME=$shared links the other runtime too"; status=1; }
done
exit $status
