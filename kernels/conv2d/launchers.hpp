// What this folder puts into the table of kernels.
#pragma once

#include "conv2d/conv2d.hpp"
#include "exec/stream.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t conv2d_gather_workspace(const Conv2dGather&);
void conv2d_gather(StreamHandle, const Conv2dGather&);
std::int64_t conv2d_weight_workspace(const Conv2dWeightGradient&);
void conv2d_weight_gradient(StreamHandle, const Conv2dWeightGradient&);

}  // namespace curvseg::CURVSEG_TARGET
