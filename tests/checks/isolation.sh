#!/bin/sh
# Each joined object of one instruction set exports its table of kernels and nothing else, so that
# no function of it can stand in for one compiled for an older processor.
# Usage: isolation.sh NM curvseg_SET.o...
set -eu
nm=$1
shift
[ $# -gt 0 ] || { echo "isolation: no objects were named"; exit 1; }

status=0
for object in "$@"; do
  set_name=$(basename "$object" .o | sed 's/^curvseg_//')
  wanted=curvseg_kernels_target_$set_name
  exported=$("$nm" --defined-only --extern-only --format=posix "$object" | awk '{print $1}')
  if [ "$exported" != "$wanted" ]; then
    echo "$object must export $wanted alone; it exports:"
    echo "${exported:-nothing}" | head -20
    status=1
  fi
done
exit $status
