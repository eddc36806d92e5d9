// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "random/random.hpp"

namespace curvseg::CURVSEG_TARGET {

void random_fill(StreamHandle, const RandomFill&);

}  // namespace curvseg::CURVSEG_TARGET
