// Loops of fused multiply-adds whose operands never leave the registers.
#pragma once

namespace curvseg::perf {

/// Does `rounds` rounds and returns something that depends on all of them.
using FmaLoop = float (*)(long rounds);

struct FmaKind {
  const char* name;
  FmaLoop run;
  int flops;  // a round
};

/// For this processor. At -O2 and more each round is multiply-adds and a counter, nothing else;
/// tests/perf/fma_registers.sh looks.
FmaKind fma_kind();

}  // namespace curvseg::perf
