// What this machine can do at most, measured beside every benchmark: others may use it too, and
// processors change their frequency.
#pragma once

#include <cstddef>

#include "perf/support/clock.hpp"

namespace curvseg::perf {

/// float32 operations a second of fused multiply-adds in registers, on all threads; two a
/// multiply-add. With the widest vectors the processor has, or those of the environment variable
/// CURVSEG_INSTRUCTION_SET.
double fma_peak(Clock clock);

/// Bytes a second of a[i] = b[i] + s·c[i] out of memory, on all threads: two arrays read and one
/// written. Whatever the processor moves besides, to write to a line it does not have, is not
/// counted, here as in the benchmarks.
double triad_peak(Clock clock);

/// Bytes of the largest cache, so that a benchmark can reach beyond it.
std::size_t last_level_cache();

}  // namespace curvseg::perf
