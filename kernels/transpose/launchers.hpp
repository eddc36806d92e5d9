// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "transpose/transpose.hpp"

namespace curvseg::CURVSEG_TARGET {

void transpose(StreamHandle, const Transpose&);

}  // namespace curvseg::CURVSEG_TARGET
