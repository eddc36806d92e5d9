// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "vector/vector.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t dot_products_workspace(const DotProducts&);
void dot_products(StreamHandle, const DotProducts&);
void linear_combination(StreamHandle, const LinearCombination&);

}  // namespace curvseg::CURVSEG_TARGET
