// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "pointwise/pointwise.hpp"

namespace curvseg::CURVSEG_TARGET {

void fill(StreamHandle, const Fill&);
void store_words(StreamHandle, const StoreWords&);
void copy_pixels(StreamHandle, const CopyPixels&);
void relu_forward(StreamHandle, const ReluForward&);
void relu_backward(StreamHandle, const ReluBackward&);
void add_bias(StreamHandle, const AddBias&);
std::int64_t channel_sum_workspace(const ChannelSum&);
void channel_sum(StreamHandle, const ChannelSum&);

}  // namespace curvseg::CURVSEG_TARGET
