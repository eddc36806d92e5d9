// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "resize/resize.hpp"

namespace curvseg::CURVSEG_TARGET {

void bilinear_forward(StreamHandle, const BilinearForward&);
void bilinear_backward(StreamHandle, const BilinearBackward&);

}  // namespace curvseg::CURVSEG_TARGET
