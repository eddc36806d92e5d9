// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "patches/patches.hpp"

namespace curvseg::CURVSEG_TARGET {

void gather_patches(StreamHandle, const GatherPatches&);

}  // namespace curvseg::CURVSEG_TARGET
