#!/bin/sh
# The kernel tests on an emulated processor that has SSE2 and SSE3 but neither SSE4 nor AVX: one
# instruction too many anywhere on the way and the program dies. Usage: baseline_cpu.sh TESTS
set -eu
tests=$1
case "$(uname -m)" in
  x86_64) ;;
  *) echo "skipped: instruction sets are chosen on x86-64 only"; exit 77 ;;
esac
qemu=$(command -v qemu-x86_64 || command -v qemu-x86_64-static || true)
[ -n "$qemu" ] || { echo "skipped: no qemu-x86_64 here (package qemu-user)"; exit 77; }

# The processor must really be without AVX, or nothing is checked: asking for it has to fail.
if CURVSEG_INSTRUCTION_SET=x86-64-v3 "$qemu" -cpu qemu64 "$tests" --gtest_list_tests >/dev/null 2>&1; then
  echo "baseline_cpu: the emulated processor claims to have AVX2"
  exit 1
fi

# Large shapes, many samples and other schedules prove nothing about instructions and take minutes in
# emulation.
few='*/host-*TwoToTheThirtyOne*:*TheirMeanOverSampledLabels*:*EveryScheduleGivesTheSameBits*'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
CURVSEG_TEST_TARGETS=host OMP_NUM_THREADS=2 "$qemu" -cpu qemu64 "$tests" --gtest_brief=1 \
  --gtest_filter="${CURVSEG_BASELINE_FILTER:-$few}" >"$log" 2>&1 || status=$?
cat "$log"
! grep -q 'PASSED.* 0 tests' "$log" || { echo "baseline_cpu: the filter names no test"; exit 1; }
exit $status
