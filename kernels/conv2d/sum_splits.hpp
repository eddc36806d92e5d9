// The partial sums of a weight gradient, added in order.
#pragma once

#include <cstdint>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

struct SumSplits {
  const float* partial;
  float* dw;
  std::int64_t floats;
  int groups, parts;  // of splits
  bool accumulate;
};

/// dw = Σ_group Σ_part partial[group, part], or with kSquares dw = Σ_group (Σ_part …)², in order.
template <bool kSquares>
static __global__ void sum_splits_kernel(SumSplits p) {
  for (const std::int64_t i : grid_range(p.floats)) {
    float sum = p.accumulate ? p.dw[i] : 0.0f;
    const float* partial = p.partial + i;
    for (int group = 0; group < p.groups; ++group) {
      float value = 0.0f;
      for (int part = 0; part < p.parts; ++part, partial += p.floats) value += *partial;
      sum += kSquares ? value * value : value;
    }
    p.dw[i] = sum;
  }
}

}  // namespace curvseg::CURVSEG_TARGET
