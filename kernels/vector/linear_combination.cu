// Up to four vectors, scaled by numbers that may lie in device memory, added in one pass:
//
//   to[i] = Σ_j f_j · x_j[i],   f_j = scale_j · *coefficient_j / *divisor_j   (nullptr: 1)
//
// Overwrites `to`. Every element is read before it is written by the thread that writes it, so `to`
// may be one of the x_j. A term whose factor is 0 is not read, as in BLAS: a method that decides on
// the device to take nothing of a gradient is safe from its NaNs. So is one over a divisor of 0,
// which a mean over nothing has.
#include "exec/pixel_walk.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

using Params = Walked<LinearCombination, PixelWalkPlan>;

__device__ __forceinline__ float factor_of(const LinearCombination::Term& term) {
  const float factor = term.coefficient ? term.scale * *term.coefficient : term.scale;
  if (!term.divisor) return factor;
  return *term.divisor == 0.0f ? 0.0f : factor / *term.divisor;
}

template <int kWidth, int Terms>
__global__ void __launch_bounds__(kGridThreads) linear_combination_kernel(Params p) {
  const LinearCombination& f = p.operation;
  float factor[Terms];
  CURVSEG_UNROLL
  for (int j = 0; j < Terms; ++j) factor[j] = factor_of(f.term[j]);
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const std::int64_t first = at.pixel() * p.walk.channels;
    at.each_run([&](int c, auto count) {
      auto sum = fill_lanes<kWidth>(0.0f);
      CURVSEG_UNROLL
      for (int j = 0; j < Terms; ++j)
        if (factor[j] != 0.0f)  // the same in every thread
          sum = sum + factor[j] * load_lanes<kWidth>(f.term[j].x + first + c, count);
      store_lanes(f.to + first + c, sum, count);
    });
  }
}

template <int Terms>
void launch_terms(StreamHandle stream, bool wide, const Params& params) {
  if constexpr (Terms > 0) {
    if (params.operation.terms < Terms) return launch_terms<Terms - 1>(stream, wide, params);
    launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
      launch<linear_combination_kernel<kWidth, Terms>>(stream, grid, kGridThreads, params);
    });
  }
}

}  // namespace

void linear_combination(StreamHandle stream, const LinearCombination& p) {
  bool wide = wide_lanes(p.n, {{p.to, 0}});
  for (int j = 0; j < p.terms; ++j) wide = wide && wide_lanes(p.n, {{p.term[j].x, 0}});
  launch_terms<LinearCombination::kMost>(stream, wide, {p, plan_flat(p.n, wide)});
}

}  // namespace curvseg::CURVSEG_TARGET
