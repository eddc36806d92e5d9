// Loops of multiply-adds whose operands never leave the registers, one an instruction set.
#pragma once

namespace curvseg::perf {

/// `rounds` rounds of multiply-adds; returns something that depends on all of them.
float fma_loop_baseline(long rounds);
float fma_loop_v3(long rounds);
float fma_loop_v4(long rounds);

/// float32 operations of one round.
inline constexpr int kFmaFlopsBaseline = 2 * 4 * 12;
inline constexpr int kFmaFlopsV3 = 2 * 8 * 12;
inline constexpr int kFmaFlopsV4 = 2 * 16 * 24;

}  // namespace curvseg::perf
