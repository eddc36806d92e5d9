// Average pooling, forward and backward.
//
//   forward:   y[n,p,q,c]  = Σ_{r,s} x[n, p·stride_h − pad_h + r, …, c] / count(p,q)
//   backward:  dx[n,h,w,c] = Σ over windows (p,q) that hold (h,w): dy[n,p,q,c] / count(p,q)
//
// Both overwrite; backward adds to dx first when its epilogue says so. count(p,q) is the window's
// taps inside x, or, when padding is included, inside the padded x; a window with none gives 0.
// As PyTorch's AvgPool2d. The mean is linear: forward is its own R-pass.
#include "exec/pixel_walk.hpp"
#include "pool/gradient_epilogue.hpp"
#include "pool/launchers.hpp"
#include "pool/pool_window.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <int kWidth, int kWhole>
__global__ void __launch_bounds__(kGridThreads)
    average_pool_forward_kernel(PoolParams<AveragePoolForward> p) {
  const AveragePoolForward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowRows rows(p, at, taps_inside<kWhole>(p.rows, at.row()));
    const std::int64_t down = p.rows.count(at.row(), f.count_include_pad);
    at.each_column([&](int q, std::int64_t pixel) {
      const TapRange columns = taps_inside<kWhole>(p.columns, q);
      const float* corner = rows.first + p.columns.start(q) * f.ldx;
      const std::int64_t taps = down * p.columns.count(q, f.count_include_pad);
      const float divisor = taps > 0 ? static_cast<float>(taps) : 1.0f;
      at.each_run([&](int c, auto count) {
        auto sum = fill_lanes<kWidth>(0.0f);
        for (int r = rows.taps.first; r < rows.taps.last; ++r) {
          const float* row = corner + r * rows.stride + c;
          for (int s = columns.first; s < columns.last; ++s)
            sum = sum + load_lanes<kWidth>(row + s * f.ldx, count);
        }
        // Divided, not multiplied by a reciprocal: the mean is then the sum correctly rounded.
        store_lanes(f.y + pixel * f.ldy + c, sum / divisor, count);
      });
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    average_pool_backward_kernel(PoolParams<AveragePoolBackward> p) {
  const AveragePoolBackward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowRange rows = p.rows.windows(at.row());
    const std::int64_t first_row = static_cast<std::int64_t>(at.image()) * p.rows.out;
    at.each_column([&](int w, std::int64_t pixel) {
      const WindowRange columns = p.columns.windows(w);
      at.each_run([&](int c, auto count) {
        auto gradient = fill_lanes<kWidth>(0.0f);
        for (int i = rows.first; i <= rows.last; ++i) {
          const std::int64_t down = p.rows.count(i, f.count_include_pad);
          const float* line = f.dy + (first_row + i) * p.columns.out * f.ldy + c;
          for (int j = columns.first; j <= columns.last; ++j) {
            // A product, which rounds twice: a division a lane would cost more than the rest.
            const std::int64_t taps = down * p.columns.count(j, f.count_include_pad);
            const float weight = 1.0f / static_cast<float>(taps);
            gradient = gradient + weight * load_lanes<kWidth>(line + j * f.ldy, count);
          }
        }
        store_gradient(f.epilogue, gradient, f.dx + pixel * f.ldx + c, pixel, c, count);
      });
    });
  }
}

/// Windows that share no element: each deals its gradient out to its own ones.
template <int kWidth, int kWhole>
__global__ void __launch_bounds__(kGridThreads)
    average_pool_backward_apart_kernel(PoolParams<AveragePoolBackward> p) {
  const AveragePoolBackward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowsApart<kWhole> windows(p, at.image(), at.row());
    const std::int64_t down = windows.rows;
    at.each_column([&](int q, std::int64_t) {
      const WindowApart window = windows.at(q);
      const float weight = 1.0f / static_cast<float>(down * window.columns);
      at.each_run([&](int c, auto count) {
        auto gradient = fill_lanes<kWidth>(0.0f);
        if (window.exists)
          gradient =
              gradient + weight * load_lanes<kWidth>(f.dy + window.output * f.ldy + c, count);
        window.each_tap(windows, [&](int, std::int64_t pixel) {
          store_gradient(f.epilogue, gradient, f.dx + pixel * f.ldx + c, pixel, c, count);
        });
      });
    });
  }
}

}  // namespace

void average_pool_forward(StreamHandle stream, const AveragePoolForward& p) {
  const PoolProblem& c = p.problem;
  const bool wide = wide_lanes(c.c, {{p.x, p.ldx}, {p.y, p.ldy}});
  const auto params = pool_params(p, plan_image(c.n, c.p, c.q, c.c, wide));
  with_window(c, [&](auto whole) {
    launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
      launch<average_pool_forward_kernel<kWidth, decltype(whole)::value>>(stream, grid,
                                                                          kGridThreads, params);
    });
  });
}

void average_pool_backward(StreamHandle stream, const AveragePoolBackward& p) {
  const PoolProblem& c = p.problem;
  const bool wide =
      wide_lanes(c.c, {{p.dy, p.ldy}, {p.dx, p.ldx}, {p.epilogue.mask, p.epilogue.ld_mask}});
  if (!kStagedOperands && windows_apart(c)) {
    const auto params = pool_params(p, plan_windows_apart(c));
    return with_places(c, [&](auto whole) {
      launch_walk(params.walk.pixels, true, [&]<int kWidth>(dim3 grid) {
        launch<average_pool_backward_apart_kernel<kWidth, decltype(whole)::value>>(
            stream, grid, kGridThreads, params);
      });
    });
  }
  const auto params = pool_params(p, plan_image(c.n, c.h, c.w, c.c, wide));
  launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
    launch<average_pool_backward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

}  // namespace curvseg::CURVSEG_TARGET
