// What a host's caches are asked for before it is needed. GPUs hide that time with other threads.
#pragma once

#include <cstddef>

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kLineFloats = 16;  // of a cache's line

/// Lines to ask for one after the other, `step` floats apart; step 0 where there is nothing. Which
/// steps ask is up to who multiplies: the last ones may be beyond what is wanted, nobody's memory.
struct SpreadPrefetch {
  const float* from;
  std::ptrdiff_t step;
};

}  // namespace curvseg::CURVSEG_TARGET
