// Index arithmetic of pooling windows, an axis at a time. Plain C++; brute-force tested in
// tests/kernels/pool/pool_axis_test.cpp.
#pragma once

#include "exec/divider.hpp"
#include "pool/pool.hpp"

namespace curvseg {

/// The taps [first, last) of a window that lie inside the input. Empty: last <= first.
struct TapRange {
  int first, last;
};

/// The windows [first, last] that hold an input coordinate; `tap` is where `first` holds it, and
/// each following window holds it `stride` taps earlier. Empty: last < first.
struct WindowRange {
  int first, last;
  int tap;
};

/// Windows of `window` taps over `in` inputs; window o starts at o·stride − pad.
struct PoolAxis {
  int in, out, window, stride, pad;
  Divider by_stride;

  constexpr PoolAxis(int in_, int out_, int window_, int stride_, int pad_)
      : in(in_), out(out_), window(window_), stride(stride_), pad(pad_), by_stride(stride_) {}

  constexpr int start(int o) const { return o * stride - pad; }

  constexpr TapRange taps(int o) const {
    const int left = in - start(o);
    return {start(o) < 0 ? -start(o) : 0, left < window ? left : window};
  }

  constexpr WindowRange windows(int i) const {
    const int reach = i + pad;  // window o holds i at tap reach − o·stride
    const int last = by_stride.divide(reach);
    const int first = reach < window ? 0 : by_stride.divide(reach - window) + 1;
    return {first, last < out ? last : out - 1, reach - first * stride};
  }

  /// What a mean divides by along this axis: the taps inside, or those inside the padded input. A
  /// window may reach beyond its padding where rounding up made `out`; that part never counts.
  constexpr int count(int o, bool include_pad) const {
    const TapRange inside = taps(o);
    const int padded = in + pad - start(o);
    const int taps_counted =
        include_pad ? (padded < window ? padded : window) : inside.last - inside.first;
    return taps_counted > 0 ? taps_counted : 0;
  }
};

constexpr PoolAxis row_axis(const PoolProblem& p) { return {p.h, p.p, p.r, p.stride_h, p.pad_h}; }
constexpr PoolAxis column_axis(const PoolProblem& p) {
  return {p.w, p.q, p.s, p.stride_w, p.pad_w};
}

}  // namespace curvseg
