// Bilinear resizing with half-pixel centres, forward and backward.
//
//   forward:   y[n,p,q,c]  = Σ_h Σ_w R(p,h) · C(q,w) · x[n,h,w,c]
//   backward:  dx[n,h,w,c] = Σ_p Σ_q R(p,h) · C(q,w) · dy[n,p,q,c]
//
// with R(p,·) and C(q,·) the one or two weights that ResizeAxis gives output row p and column q.
// Both overwrite; backward adds to dx first when its epilogue says so. As PyTorch's
// interpolate(mode="bilinear", align_corners=False). Linear: forward is its own R-pass. A
// non-finite x makes every output non-finite that reads it, also with a weight of 0 on that axis.
#include <limits>

#include "exec/pixel_walk.hpp"
#include "pool/gradient_epilogue.hpp"
#include "resize/bilinear_rows.hpp"
#include "resize/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    bilinear_forward_kernel(BilinearParams<BilinearForward> p) {
  const BilinearForward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const ResizeSample row = p.rows.sample(at.row());
    const float up_weight = 1.0f - row.fraction;
    const std::int64_t first_row = static_cast<std::int64_t>(at.image()) * p.rows.in() + row.index;
    const float* line = f.x + first_row * p.columns.in() * f.ldx;
    // Where the weight is 0 the neighbour may lie outside: the element itself stands in for it.
    const std::int64_t down = row.fraction != 0.0f ? p.columns.in() * f.ldx : 0;
    at.each_column([&](int q, std::int64_t pixel) {
      const ResizeSample column = p.columns.sample(q);
      const float left_weight = 1.0f - column.fraction;
      const float* left = line + column.index * f.ldx;
      const float* right = left + (column.fraction != 0.0f ? f.ldx : 0);
      at.each_run([&](int c, auto count) {
        const auto x00 = load_lanes<kWidth>(left + c, count);
        const auto x01 = load_lanes<kWidth>(right + c, count);
        const auto x10 = load_lanes<kWidth>(left + down + c, count);
        const auto x11 = load_lanes<kWidth>(right + down + c, count);
        const auto y = up_weight * (left_weight * x00 + column.fraction * x01) +
                       row.fraction * (left_weight * x10 + column.fraction * x11);
        store_lanes(f.y + pixel * f.ldy + c, y, count);
      });
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    bilinear_backward_kernel(BilinearParams<BilinearBackward> p) {
  const BilinearBackward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const ResizeReaders rows = p.rows.readers(at.row());
    const std::int64_t first_row =
        static_cast<std::int64_t>(at.image()) * p.rows.out() + rows.first;
    at.each_column([&](int w, std::int64_t pixel) {
      const ResizeReaders columns = p.columns.readers(w);
      const float* corner = f.dy + (first_row * p.columns.out() + columns.first) * f.ldy;
      at.each_run([&](int c, auto count) {
        auto gradient = fill_lanes<kWidth>(0.0f);
        const float* line = corner + c;
        ResizeWeights down(p.rows, rows, at.row());
        for (int i = 0; i < rows.count; ++i, down.advance(), line += p.columns.out() * f.ldy) {
          ResizeWeights across(p.columns, columns, w);
          const float* dy = line;
          for (int j = 0; j < columns.count; ++j, across.advance(), dy += f.ldy)
            gradient = gradient + down.value() * across.value() * load_lanes<kWidth>(dy, count);
        }
        store_gradient(f.epilogue, gradient, f.dx + pixel * f.ldx + c, pixel, c, count);
      });
    });
  }
}

template <class Operation>
BilinearParams<Operation> bilinear_params(const Operation& p, const ImageWalkPlan& walk) {
  return {p, ResizeAxis(p.problem.h, p.problem.p), ResizeAxis(p.problem.w, p.problem.q), walk};
}

}  // namespace

void bilinear_forward(StreamHandle stream, const BilinearForward& p) {
  const ResizeProblem& c = p.problem;
  const bool wide = wide_lanes(c.c, {{p.x, p.ldx}, {p.y, p.ldy}});
  const auto params = bilinear_params(p, plan_image(c.n, c.p, c.q, c.c, wide));
  // The host's registers hold 16 channels; offsets within a row are ints there.
  if constexpr (!kStagedOperands) {
    if (c.c < kWideLanes && c.w * p.ldx < std::numeric_limits<int>::max())
      return launch_walk(params.walk.pixels, true, [&]<int kWidth>(dim3 grid) {
        launch<bilinear_forward_rows_kernel<kWidth>, ForwardRowShared>(stream, grid, kGridThreads,
                                                                       params);
      });
  }
  launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
    launch<bilinear_forward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

void bilinear_backward(StreamHandle stream, const BilinearBackward& p) {
  const ResizeProblem& c = p.problem;
  const bool wide =
      wide_lanes(c.c, {{p.dy, p.ldy}, {p.dx, p.ldx}, {p.epilogue.mask, p.epilogue.ld_mask}});
  const auto params = bilinear_params(p, plan_image(c.n, c.h, c.w, c.c, wide));
  if constexpr (!kStagedOperands) {
    const bool empty = c.h == 0 || c.w == 0 || c.p == 0 || c.q == 0;
    if (!empty && rows_fit(params.rows, params.columns, c.c))
      return launch_walk(params.walk.pixels, true, [&]<int kWidth>(dim3 grid) {
        launch<bilinear_backward_rows_kernel<kWidth>, BackwardRowShared>(stream, grid, kGridThreads,
                                                                         params);
      });
  }
  launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
    launch<bilinear_backward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

}  // namespace curvseg::CURVSEG_TARGET
