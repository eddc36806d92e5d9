// The partial sums of a weight gradient, added in order.
//
//   dw = Σ_group Σ_part partial[group, part], or squared:  dw = Σ_group (Σ_part partial[…])²
//
// elementwise, plus the old dw if `accumulate`.
#pragma once

#include "exec/pixel_walk.hpp"

namespace curvseg::CURVSEG_TARGET {

struct SumSplits {
  const float* partial;
  float* dw;
  std::int64_t floats;
  int groups, parts;  // of splits
  bool accumulate;
};

template <int kWidth, bool kSquares>
static __global__ void sum_splits_kernel(Walked<SumSplits, PixelWalkPlan> p) {
  const SumSplits& s = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance())
    at.each_run([&](int c, auto count) {
      const std::int64_t i = at.pixel() * p.walk.channels + c;
      const auto zero = fill_lanes<kWidth>(0.0f);
      auto sum = s.accumulate ? load_lanes<kWidth>(s.dw + i, count) : zero;
      const float* partial = s.partial + i;
      for (int group = 0; group < s.groups; ++group) {
        auto value = zero;
        for (int part = 0; part < s.parts; ++part, partial += s.floats)
          value = value + load_lanes<kWidth>(partial, count);
        sum = sum + (kSquares ? value * value : value);
      }
      store_lanes(s.dw + i, sum, count);
    });
}

template <bool kSquares>
void sum_splits(StreamHandle stream, const SumSplits& s) {
  const bool wide = wide_lanes(s.floats, {{s.partial, s.floats}, {s.dw, s.floats}});
  const PixelWalkPlan walk = plan_flat(s.floats, wide);
  launch_walk(walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<sum_splits_kernel<kWidth, kSquares>>(stream, grid, kGridThreads,
                                                Walked<SumSplits, PixelWalkPlan>{s, walk});
  });
}

}  // namespace curvseg::CURVSEG_TARGET
