#!/bin/sh
# The loops that measure the FMA peak keep everything in registers: their rounds hold as many
# multiply-adds as they claim, one counter, and no access to memory.
#   fma_registers.sh OBJECT MULTIPLY_ADDS
set -eu
object=$1
expected=$2
# The loop is what lies between a conditional jump backwards and its target.
objdump -d --no-show-raw-insn "$object" | awk -v expected="$expected" '
  $1 ~ /^[0-9a-f]+:$/ {
    address = $1; sub(":", "", address)
    line[++lines] = $0; at[address] = lines; products[lines] = products[lines - 1]
    if ($2 ~ /^(vfmadd.*|mulps)$/) ++products[lines]
    if ($2 ~ /^j/ && $2 != "jmp" && ($3 in at)) {
      found = products[lines] - products[at[$3] - 1]
      if (found > most) { most = found; begin = at[$3]; end = lines }
    }
  }
  END {
    for (i = begin; i <= end; ++i)
      if (line[i] ~ /\(%/) { print "memory in the loop: " line[i]; bad = 1 }
    print most + 0 " multiply-adds a round, " end - begin + 1 " instructions"
    exit bad || most != expected
  }'
