// What the pooling kernels share: their parameters on the device, and a window of x.
#pragma once

#include <type_traits>

#include "exec/pixel_walk.hpp"
#include "pool/pool_axis.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Operation>
struct PoolParams {
  Operation operation;
  PoolAxis rows, columns;
  ImageWalkPlan walk;
};

template <class Operation>
PoolParams<Operation> pool_params(const Operation& p, const ImageWalkPlan& walk) {
  return {p, row_axis(p.problem), column_axis(p.problem), walk};
}

/// Calls f(Extent) with the constant 2 where windows are 2 x 2, as nearly all are, and lie inside
/// x, else with 0: sizes are read and edges asked for. Constants are a host's: a GPU hides such
/// loops behind its loads.
template <class F>
void with_window(const PoolProblem& p, const F& f) {
  const bool whole = p.r == 2 && p.s == 2 && p.pad_h == 0 && p.pad_w == 0 &&
                     (p.p - 1) * p.stride_h + p.r <= p.h && (p.q - 1) * p.stride_w + p.s <= p.w;
  if constexpr (!kStagedOperands) {
    if (whole) return f(std::integral_constant<int, 2>());
  }
  f(std::integral_constant<int, 0>());
}

/// Taps of a window inside x, constants if `kWhole` windows of this extent are.
template <int kWhole>
__device__ __forceinline__ TapRange taps_inside(const PoolAxis& axis, int o) {
  if constexpr (kWhole > 0)
    return {0, kWhole};
  else
    return axis.taps(o);
}

/// Whether windows tile x, so that each element is in one at most: a gradient can then be dealt out
/// from the windows, which reads each of them once.
inline bool windows_apart(const PoolProblem& p) {
  return p.r == p.stride_h && p.s == p.stride_w && p.pad_h == 0 && p.pad_w == 0;
}

/// The places of such windows over x, those at its ends included where there is room for a part of
/// a window: it may exist or not, and its elements are written in either case.
inline ImageWalkPlan plan_windows_apart(const PoolProblem& p) {
  return plan_image(p.n, static_cast<int>(divide_up(p.h, p.r)),
                    static_cast<int>(divide_up(p.w, p.s)), p.c, true);
}

/// As with_window() for those places; a host's alone.
template <class F>
void with_places(const PoolProblem& p, const F& f) {
  if constexpr (!kStagedOperands) {
    if (p.r == 2 && p.s == 2 && p.h % 2 == 0 && p.w % 2 == 0)
      f(std::integral_constant<int, 2>());
    else
      f(std::integral_constant<int, 0>());
  }
}

/// The place of a window: where its output is, if it exists, its first element and its columns.
struct WindowApart {
  bool exists;
  int columns;
  std::int64_t output, first;

  /// f(tap, pixel) for its elements.
  template <class Windows, class F>
  __device__ __forceinline__ void each_tap(const Windows& windows, const F& f) const {
    for (int r = 0; r < windows.rows; ++r)
      for (int s = 0; s < columns; ++s) f(r * windows.window + s, first + r * windows.stride + s);
  }
};

/// A row of places.
template <int kWhole>
struct WindowsApart {
  const PoolAxis& axis;
  bool exist;
  int rows, window;
  std::int64_t stride, output, first;

  template <class Params>
  __device__ __forceinline__ WindowsApart(const Params& p, int image, int row)
      : axis(p.columns),
        exist(row < p.rows.out),
        rows(kWhole > 0 ? kWhole : min_of(p.rows.window, p.rows.in - row * p.rows.window)),
        window(kWhole > 0 ? kWhole : p.columns.window),
        stride(p.columns.in),
        output((static_cast<std::int64_t>(image) * p.rows.out + row) * p.columns.out),
        first((static_cast<std::int64_t>(image) * p.rows.in + row * p.rows.window) * p.columns.in) {
  }
  __device__ __forceinline__ WindowApart at(int column) const {
    const int columns = kWhole > 0 ? kWhole : min_of(window, axis.in - column * window);
    return {exist && column < axis.out, columns, output + column, first + column * window};
  }
};

/// The windows of one output row over x: the rows inside, and where row 0 of the window begins,
/// which may be outside.
struct WindowRows {
  TapRange taps;
  std::int64_t stride;
  const float* first;

  template <class Params, class Walk>
  __device__ __forceinline__ WindowRows(const Params& p, const Walk& at, const TapRange& inside)
      : taps(inside), stride(p.columns.in * p.operation.ldx) {
    const std::int64_t row =
        static_cast<std::int64_t>(at.image()) * p.rows.in + p.rows.start(at.row());
    first = p.operation.x + row * stride;
  }
};

}  // namespace curvseg::CURVSEG_TARGET
