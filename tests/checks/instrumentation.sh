#!/bin/sh
# Every kernel file of the emulated target calls the hooks of its checks: before loads and stores,
# and for alignment (clang, which checks fewer accesses: some file does). It calls them by the names
# of kernels/exec/emulated/redirect.hpp, nothing of a sanitizer's own runtime, and no memory function
# that the hooks would not see.
# Usage: instrumentation.sh COMPILER_ID OBJDUMP OBJECT...
set -eu
compiler=$1
objdump=$2
shift 2

status=0
checked=0
aligned=0
for object in "$@"; do
  name=$(basename "$object")
  case $name in kernel_table.*) continue ;; esac  # a list, it has no kernel
  checked=$((checked + 1))
  # "R_X86_64_PLT32  curvseg_emulated___tsan_read4-0x0000000000000004"
  called=$("$objdump" -r "$object" | awk '$2 ~ /^R_/ { sub(/[-+]0x[0-9a-f]*$/, "", $3); print $3 }' |
    sort -u)
  for hook in __tsan_read4 __tsan_write4 __ubsan_handle_type_mismatch_v1; do
    if echo "$called" | grep -qx "curvseg_emulated_$hook"; then
      [ $hook != __ubsan_handle_type_mismatch_v1 ] || aligned=$((aligned + 1))
    elif [ "$compiler" = GNU ] || [ $hook != __ubsan_handle_type_mismatch_v1 ]; then
      echo "$name never calls the hook for $hook: a flag of docs/emulated.md is missing"
      status=1
    fi
  done
  unseen=$(echo "$called" | grep -Ex '__tsan_.*|__ubsan_.*|memcpy|memmove|memset' || true)
  [ -z "$unseen" ] || { echo "$name calls what the hooks do not see:" $unseen; status=1; }
done
[ $aligned -gt 0 ] || { echo "no file calls the hook for alignment"; status=1; }
[ $checked -gt 0 ] || { echo "instrumentation: no objects were named"; status=1; }
exit $status
