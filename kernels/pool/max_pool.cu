// Max pooling: forward, its R-pass and backward.
//
//   forward:   y[n,p,q,c] = max_{r,s} x[n, p·stride_h − pad_h + r, q·stride_w − pad_w + s, c]
//              index[n,p,q,c] = r·S + s of the winner
//   select:    y[n,p,q,c] = x at index[n,p,q,c]
//   backward:  dx[n,h,w,c] = Σ over windows (p,q) that hold (h,w): dy[n,p,q,c] where index says
//   (h,w)
//
// All overwrite; backward adds to dx first when its epilogue says so. The first maximum in (r,s)
// order wins, and the first NaN wins over every number. Padding never wins over an element of x. A
// window that holds none gives −inf and index 0, which names padding: select then gives 0 and
// backward drops its gradient. Ties and NaN as in PyTorch's MaxPool2d.
#include "exec/pixel_walk.hpp"
#include "pool/gradient_epilogue.hpp"
#include "pool/launchers.hpp"
#include "pool/pool_window.hpp"

#include <cmath>

namespace curvseg::CURVSEG_TARGET {
namespace {

/// The running maximum of one window, with the tap that holds it.
template <int kWidth>
struct Winner {
  Lanes<kWidth, float> value;
  Lanes<kWidth, int> tap;

  /// `first_tap` wins a window of −inf only.
  __device__ __forceinline__ explicit Winner(int first_tap)
      : value(fill_lanes<kWidth>(-INFINITY)), tap(fill_lanes<kWidth>(first_tap)) {}

  __device__ __forceinline__ void meet(const Lanes<kWidth, float>& x, int at_tap) {
    // Not less or equal holds for a NaN as well; but once a NaN has won, nothing replaces it.
    const Mask<kWidth> wins = (!(x <= value)) & (value == value);
    value = select(wins, x, value);
    tap = select(wins, fill_lanes<kWidth>(at_tap), tap);
  }
};

template <int kWidth, int kWhole>
__global__ void __launch_bounds__(kGridThreads)
    max_pool_forward_kernel(PoolParams<MaxPoolForward> p) {
  const MaxPoolForward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowRows rows(p, at, taps_inside<kWhole>(p.rows, at.row()));
    at.each_column([&](int q, std::int64_t pixel) {
      const TapRange columns = taps_inside<kWhole>(p.columns, q);
      const float* corner = rows.first + p.columns.start(q) * f.ldx;
      const int window = kWhole > 0 ? kWhole : p.columns.window;
      const bool empty = rows.taps.last <= rows.taps.first || columns.last <= columns.first;
      const int first_tap = empty ? 0 : rows.taps.first * window + columns.first;
      at.each_run([&](int c, auto count) {
        Winner<kWidth> winner(first_tap);
        for (int r = rows.taps.first; r < rows.taps.last; ++r) {
          const float* row = corner + r * rows.stride + c;
          for (int s = columns.first; s < columns.last; ++s)
            winner.meet(load_lanes<kWidth>(row + s * f.ldx, count), r * window + s);
        }
        store_lanes(f.y + pixel * f.ldy + c, winner.value, count);
        if (f.index) store_lanes(f.index + pixel * f.problem.c + c, winner.tap, count);
      });
    });
  }
}

/// Reads the whole window rather than the winner: a lane's neighbours need the same sectors, and
/// a load at an address of its own in every lane would not vectorise.
template <int kWidth, int kWhole>
__global__ void __launch_bounds__(kGridThreads)
    max_pool_select_kernel(PoolParams<MaxPoolSelect> p) {
  const MaxPoolSelect& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowRows rows(p, at, taps_inside<kWhole>(p.rows, at.row()));
    at.each_column([&](int q, std::int64_t pixel) {
      const TapRange columns = taps_inside<kWhole>(p.columns, q);
      const float* corner = rows.first + p.columns.start(q) * f.ldx;
      at.each_run([&](int c, auto count) {
        const auto index = load_lanes<kWidth>(f.index + pixel * f.problem.c + c, count);
        auto value = fill_lanes<kWidth>(0.0f);
        for (int r = rows.taps.first; r < rows.taps.last; ++r) {
          const float* row = corner + r * rows.stride + c;
          for (int s = columns.first; s < columns.last; ++s) {
            const auto x = load_lanes<kWidth>(row + s * f.ldx, count);
            value = select(index == r * p.columns.window + s, x, value);
          }
        }
        store_lanes(f.y + pixel * f.ldy + c, value, count);
      });
    });
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kGridThreads)
    max_pool_backward_kernel(PoolParams<MaxPoolBackward> p) {
  const MaxPoolBackward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowRange rows = p.rows.windows(at.row());
    const std::int64_t first_row = static_cast<std::int64_t>(at.image()) * p.rows.out;
    at.each_column([&](int w, std::int64_t pixel) {
      const WindowRange columns = p.columns.windows(w);
      at.each_run([&](int c, auto count) {
        auto gradient = fill_lanes<kWidth>(0.0f);
        for (int i = rows.first, r = rows.tap; i <= rows.last; ++i, r -= p.rows.stride) {
          const std::int64_t line = (first_row + i) * p.columns.out;
          int tap = r * p.columns.window + columns.tap;
          for (int j = columns.first; j <= columns.last; ++j, tap -= p.columns.stride) {
            const auto index = load_lanes<kWidth>(f.index + (line + j) * f.problem.c + c, count);
            const auto dy = load_lanes<kWidth>(f.dy + (line + j) * f.ldy + c, count);
            gradient = gradient + select(index == tap, dy, fill_lanes<kWidth>(0.0f));
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
    max_pool_backward_apart_kernel(PoolParams<MaxPoolBackward> p) {
  const MaxPoolBackward& f = p.operation;
  for (ImageWalk<kWidth> at(p.walk); at.valid(); at.advance()) {
    const WindowsApart<kWhole> windows(p, at.image(), at.row());
    at.each_column([&](int q, std::int64_t) {
      const WindowApart window = windows.at(q);
      at.each_run([&](int c, auto count) {
        auto index = fill_lanes<kWidth>(-1);
        auto dy = fill_lanes<kWidth>(0.0f);
        if (window.exists) {
          index = load_lanes<kWidth>(f.index + window.output * f.problem.c + c, count);
          dy = load_lanes<kWidth>(f.dy + window.output * f.ldy + c, count);
        }
        window.each_tap(windows, [&](int tap, std::int64_t pixel) {
          const auto zero = fill_lanes<kWidth>(0.0f);
          const auto gradient = zero + select(index == tap, dy, zero);
          store_gradient(f.epilogue, gradient, f.dx + pixel * f.ldx + c, pixel, c, count);
        });
      });
    });
  }
}

}  // namespace

void max_pool_forward(StreamHandle stream, const MaxPoolForward& p) {
  const PoolProblem& c = p.problem;
  const bool wide = wide_lanes(c.c, {{p.x, p.ldx}, {p.y, p.ldy}, {p.index, c.c}});
  const auto params = pool_params(p, plan_image(c.n, c.p, c.q, c.c, wide));
  with_window(c, [&](auto whole) {
    launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
      launch<max_pool_forward_kernel<kWidth, decltype(whole)::value>>(stream, grid, kGridThreads,
                                                                      params);
    });
  });
}

void max_pool_select(StreamHandle stream, const MaxPoolSelect& p) {
  const PoolProblem& c = p.problem;
  const bool wide = wide_lanes(c.c, {{p.x, p.ldx}, {p.y, p.ldy}, {p.index, c.c}});
  const auto params = pool_params(p, plan_image(c.n, c.p, c.q, c.c, wide));
  with_window(c, [&](auto whole) {
    launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
      launch<max_pool_select_kernel<kWidth, decltype(whole)::value>>(stream, grid, kGridThreads,
                                                                     params);
    });
  });
}

void max_pool_backward(StreamHandle stream, const MaxPoolBackward& p) {
  const PoolProblem& c = p.problem;
  const bool wide = wide_lanes(
      c.c, {{p.dy, p.ldy}, {p.dx, p.ldx}, {p.index, c.c}, {p.epilogue.mask, p.epilogue.ld_mask}});
  if (!kStagedOperands && windows_apart(c)) {
    const auto params = pool_params(p, plan_windows_apart(c));
    return with_places(c, [&](auto whole) {
      launch_walk(params.walk.pixels, true, [&]<int kWidth>(dim3 grid) {
        launch<max_pool_backward_apart_kernel<kWidth, decltype(whole)::value>>(
            stream, grid, kGridThreads, params);
      });
    });
  }
  const auto params = pool_params(p, plan_image(c.n, c.h, c.w, c.c, wide));
  launch_walk(params.walk.pixels, wide, [&]<int kWidth>(dim3 grid) {
    launch<max_pool_backward_kernel<kWidth>>(stream, grid, kGridThreads, params);
  });
}

}  // namespace curvseg::CURVSEG_TARGET
