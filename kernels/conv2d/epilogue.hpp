// What an output goes through on its way to memory, see Conv2dEpilogue.
#pragma once

#include "conv2d/conv2d.hpp"
#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

/// Takes the first `count` of kColumns adjacent channels of one pixel through the epilogue.
template <int kColumns>
__device__ __forceinline__ void finish_group(const Conv2dGather& p, std::int64_t pixel, int channel,
                                             Lanes<kColumns, float> value, int count) {
  const Conv2dEpilogue& e = p.epilogue;
  const auto zero = fill_lanes<kColumns>(0.0f);
  float* out = p.out + pixel * p.ld_out + channel;
  if (e.accumulate) value = value + load_group<kColumns>(out, count);
  if (e.bias) value = value + load_group<kColumns>(e.bias + channel, count);
  if (e.relu) value = select(value < 0.0f, zero, value);  // keeps NaN
  const int masked = e.mask_channels - channel;
  if (e.mask && masked > 0) {
    const auto mask =
        load_group<kColumns>(e.mask + pixel * e.ld_mask + channel, min_of(count, masked));
    const auto kept = select(mask > 0.0f, value, zero);
    value = masked >= kColumns ? kept : select(lane_index<kColumns>() < masked, kept, value);
  }
  store_group(out, value, count);
}

}  // namespace curvseg::CURVSEG_TARGET
