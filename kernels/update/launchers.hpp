// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "update/update.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t squared_norm_workspace(const SquaredNorm&);
void squared_norm(StreamHandle, const SquaredNorm&);
void sgd_update(StreamHandle, const SgdUpdate&);
void adam_update(StreamHandle, const AdamUpdate&);
void adam_direction(StreamHandle, const AdamDirection&);

}  // namespace curvseg::CURVSEG_TARGET
