// Pooling in double precision, as the formulas are written. Knows nothing of the kernels: backward
// passes scatter, where the kernels gather.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace curvseg::reference {

struct Pool {
  int n, h, w, c;
  int p, q;
  int r = 2, s = 2;
  int stride_h = 2, stride_w = 2, pad_h = 0, pad_w = 0;

  std::size_t x_size() const { return size(n, h, w, c); }
  std::size_t y_size() const { return size(n, p, q, c); }
  std::size_t x_at(int image, int row, int column, int channel) const {
    return static_cast<std::size_t>(((image * h + row) * w + column) * c + channel);
  }

  static std::size_t size(int a, int b, int d, int e) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(d) *
           static_cast<std::size_t>(e);
  }
};

/// Calls visit(y index, tap, h, w, n, c) for every tap of every window, inside x or not.
template <class Visit>
void for_each_tap(const Pool& g, Visit visit) {
  std::size_t o = 0;
  for (int n = 0; n < g.n; ++n)
    for (int p = 0; p < g.p; ++p)
      for (int q = 0; q < g.q; ++q)
        for (int c = 0; c < g.c; ++c, ++o)
          for (int r = 0; r < g.r; ++r)
            for (int s = 0; s < g.s; ++s)
              visit(o, r * g.s + s, p * g.stride_h - g.pad_h + r, q * g.stride_w - g.pad_w + s, n,
                    c);
}

inline bool inside(const Pool& g, int h, int w) { return h >= 0 && h < g.h && w >= 0 && w < g.w; }

struct MaxPool {
  std::vector<double> y;
  std::vector<std::uint16_t> index;
};

inline MaxPool max_pool_forward(const Pool& g, const std::vector<float>& x) {
  MaxPool result{std::vector<double>(g.y_size(), -std::numeric_limits<double>::infinity()),
                 std::vector<std::uint16_t>(g.y_size(), 0)};
  std::vector<bool> seen(g.y_size(), false);
  for_each_tap(g, [&](std::size_t o, int tap, int h, int w, int n, int c) {
    if (!inside(g, h, w)) return;
    const double value = static_cast<double>(x[g.x_at(n, h, w, c)]);
    double& best = result.y[o];
    const bool first = !seen[o];
    const bool beats = std::isnan(value) ? !std::isnan(best) : value > best;
    if (!first && !beats) return;
    best = value;
    result.index[o] = static_cast<std::uint16_t>(tap);
    seen[o] = true;
  });
  return result;
}

/// The element of x that won each window; 0 where none was inside.
inline std::vector<double> max_pool_select(const Pool& g, const std::vector<std::uint16_t>& index,
                                           const std::vector<float>& x) {
  std::vector<double> y(g.y_size(), 0.0);
  for_each_tap(g, [&](std::size_t o, int tap, int h, int w, int n, int c) {
    if (inside(g, h, w) && index[o] == tap) y[o] = static_cast<double>(x[g.x_at(n, h, w, c)]);
  });
  return y;
}

inline std::vector<double> max_pool_backward(const Pool& g, const std::vector<std::uint16_t>& index,
                                             const std::vector<float>& dy) {
  std::vector<double> dx(g.x_size(), 0.0);
  for_each_tap(g, [&](std::size_t o, int tap, int h, int w, int n, int c) {
    if (inside(g, h, w) && index[o] == tap) dx[g.x_at(n, h, w, c)] += static_cast<double>(dy[o]);
  });
  return dx;
}

/// Taps that the mean counts: inside x, or, with its padding, inside the padded x.
inline std::vector<int> average_pool_counts(const Pool& g, bool include_pad) {
  std::vector<int> counts(g.y_size(), 0);
  for_each_tap(g, [&](std::size_t o, int, int h, int w, int, int) {
    const bool padded = h < g.h + g.pad_h && w < g.w + g.pad_w;
    if (include_pad ? padded : inside(g, h, w)) ++counts[o];
  });
  return counts;
}

inline std::vector<double> average_pool_forward(const Pool& g, bool include_pad,
                                                const std::vector<float>& x) {
  const std::vector<int> counts = average_pool_counts(g, include_pad);
  std::vector<double> y(g.y_size(), 0.0);
  for_each_tap(g, [&](std::size_t o, int, int h, int w, int n, int c) {
    if (inside(g, h, w)) y[o] += static_cast<double>(x[g.x_at(n, h, w, c)]);
  });
  for (std::size_t o = 0; o < y.size(); ++o)
    if (counts[o] > 0) y[o] /= counts[o];
  return y;
}

struct AveragePoolGradient {
  std::vector<double> dx, magnitude;  // magnitude: Σ |dy| / count, what bounds the error
};

inline AveragePoolGradient average_pool_backward(const Pool& g, bool include_pad,
                                                 const std::vector<float>& dy) {
  const std::vector<int> counts = average_pool_counts(g, include_pad);
  AveragePoolGradient result{std::vector<double>(g.x_size(), 0.0),
                             std::vector<double>(g.x_size(), 0.0)};
  for_each_tap(g, [&](std::size_t o, int, int h, int w, int n, int c) {
    if (!inside(g, h, w)) return;
    const double share = static_cast<double>(dy[o]) / counts[o];
    result.dx[g.x_at(n, h, w, c)] += share;
    result.magnitude[g.x_at(n, h, w, c)] += std::fabs(share);
  });
  return result;
}

}  // namespace curvseg::reference
