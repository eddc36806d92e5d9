// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "pool/pool.hpp"

namespace curvseg::CURVSEG_TARGET {

void max_pool_forward(StreamHandle, const MaxPoolForward&);
void max_pool_select(StreamHandle, const MaxPoolSelect&);
void max_pool_backward(StreamHandle, const MaxPoolBackward&);
void average_pool_forward(StreamHandle, const AveragePoolForward&);
void average_pool_backward(StreamHandle, const AveragePoolBackward&);

}  // namespace curvseg::CURVSEG_TARGET
