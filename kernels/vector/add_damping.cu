// The damping of a curvature product and the curvature of an L2 term, in one pass:
//
//   to[i] += (lambda[0]·d[i] + l2)·v[i]        lambda absent: 0;  d absent: 1
//
// Adds. Every element is read before it is written by the thread that writes it, so `to` may be v.
#include "exec/pixel_walk.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    add_damping_kernel(Walked<AddDamping, PixelWalkPlan> p) {
  const AddDamping& f = p.operation;
  const float lambda = f.lambda ? *f.lambda : 0.0f;
  for (PixelWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const std::int64_t first = at.pixel() * p.walk.channels;
    at.each_run([&](int c, auto count) {
      const std::int64_t i = first + c;
      auto factor = fill_lanes<kWidth>(lambda);
      if (f.d) factor = lambda * load_lanes<kWidth>(f.d + i, count);
      factor = factor + fill_lanes<kWidth>(f.l2);
      const auto product = factor * load_lanes<kWidth>(f.v + i, count);
      store_lanes(f.to + i, load_lanes<kWidth>(f.to + i, count) + product, count);
    });
  }
}

}  // namespace

void add_damping(StreamHandle stream, const AddDamping& p) {
  const bool wide = wide_lanes(p.n, {{p.v, 0}, {p.d, 0}, {p.to, 0}});
  const Walked<AddDamping, PixelWalkPlan> params{p, plan_flat(p.n, wide)};
  launch_walk(params.walk, wide, [&]<int kWidth>(dim3 grid) {
    launch<add_damping_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

}  // namespace curvseg::CURVSEG_TARGET
