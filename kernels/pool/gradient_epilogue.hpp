// What a gathered gradient goes through on its way to memory:
//
//   dx = mask > 0 ? gradient (+ dx if accumulate) : 0     (the mask only where there is one)
//
// Old values must be masked already, so masking the sum is masking what is new.
#pragma once

#include "exec/lanes.hpp"
#include "pool/pool.hpp"

namespace curvseg::CURVSEG_TARGET {

/// `dx` is where the lanes go, `pixel` and `channel` are where they are in the mask.
template <int kWidth>
__device__ __forceinline__ void store_gradient(const GradientEpilogue& epilogue,
                                               Lanes<kWidth, float> gradient, float* dx,
                                               std::int64_t pixel, int channel, int count) {
  if (epilogue.accumulate) gradient = gradient + load_lanes<kWidth>(dx, count);
  if (epilogue.mask) {
    const auto mask = load_lanes<kWidth>(epilogue.mask + pixel * epilogue.ld_mask + channel, count);
    gradient = select(mask > 0.0f, gradient, fill_lanes<kWidth>(0.0f));
  }
  store_lanes(dx, gradient, count);
}

}  // namespace curvseg::CURVSEG_TARGET
