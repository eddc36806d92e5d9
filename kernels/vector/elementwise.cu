// Vectors element by element:
//
//   multiply:    to[i] = scale · x[i] · y[i]    (+ to[i] if `accumulate`)
//   normalise:   to[i] = x[i] / √s,  norm[0] = √s,  s = squared_norm[0]
//                but to = 0 and norm[0] = 0 where s ≤ floor · reference[0]
//
// Every element is read before it is written by the thread that writes it, so `to` may be x or y.
#include <cmath>

#include "exec/pixel_walk.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    multiply_kernel(Walked<ElementwiseProduct, PixelWalkPlan> p) {
  const ElementwiseProduct& f = p.operation;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const std::int64_t first = at.pixel() * p.walk.channels;
    at.each_run([&](int c, auto count) {
      const std::int64_t i = first + c;
      auto value =
          f.scale * (load_lanes<kWidth>(f.x + i, count) * load_lanes<kWidth>(f.y + i, count));
      if (f.accumulate) value = value + load_lanes<kWidth>(f.to + i, count);
      store_lanes(f.to + i, value, count);
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    normalise_kernel(Walked<Normalise, PixelWalkPlan> p) {
  const Normalise& f = p.operation;
  const float squared = *f.squared_norm;
  const float least = f.reference ? f.floor * *f.reference : 0.0f;
  const bool vanished = squared <= least;  // false for NaN, which stays one
  const float norm = vanished ? 0.0f : sqrtf(squared);
  if (f.norm && blockIdx.x == 0 && threadIdx.x == 0) *f.norm = norm;
  const float factor = 1.0f / norm;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const std::int64_t first = at.pixel() * p.walk.channels;
    at.each_run([&](int c, auto count) {
      auto value = fill_lanes<kWidth>(0.0f);
      if (!vanished) value = factor * load_lanes<kWidth>(f.x + first + c, count);
      store_lanes(f.to + first + c, value, count);
    });
  }
}

}  // namespace

void multiply(StreamHandle stream, const ElementwiseProduct& p) {
  const bool wide = wide_lanes(p.n, {{p.x, 0}, {p.y, 0}, {p.to, 0}});
  const Walked<ElementwiseProduct, PixelWalkPlan> params{p, plan_flat(p.n, wide)};
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<multiply_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void normalise(StreamHandle stream, const Normalise& p) {
  const bool wide = wide_lanes(p.n, {{p.x, 0}, {p.to, 0}});
  const Walked<Normalise, PixelWalkPlan> params{p, plan_flat(p.n, wide)};
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<normalise_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

}  // namespace curvseg::CURVSEG_TARGET
