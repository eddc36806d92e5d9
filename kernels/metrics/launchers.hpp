// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "metrics/metrics.hpp"

namespace curvseg::CURVSEG_TARGET {

void argmax(StreamHandle, const Argmax&);
void confusion_matrix(StreamHandle, const ConfusionMatrix&);

}  // namespace curvseg::CURVSEG_TARGET
