// Bilinear resizing in double precision, as the formula is written. Knows nothing of the kernels:
// backward scatters, where the kernel gathers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace curvseg::reference {

struct Resize {
  int n, h, w, c;
  int p, q;

  std::size_t x_size() const { return size(n, h, w, c); }
  std::size_t y_size() const { return size(n, p, q, c); }

  static std::size_t size(int a, int b, int d, int e) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(d) *
           static_cast<std::size_t>(e);
  }
};

/// The two inputs that an output reads along one axis.
struct ResizeTaps {
  int index[2];
  double weight[2];
};

inline ResizeTaps resize_taps(int o, int in, int out) {
  const double centre = (o + 0.5) * in / out - 0.5;
  const double at = std::clamp(centre, 0.0, in - 1.0);
  const int low = static_cast<int>(std::floor(at));
  return {{low, std::min(low + 1, in - 1)}, {1.0 - (at - low), at - low}};
}

/// Calls visit(y index, x index, weight) for the four products of every output.
template <class Visit>
void for_each_sample(const Resize& g, Visit visit) {
  std::size_t o = 0;
  for (int n = 0; n < g.n; ++n)
    for (int p = 0; p < g.p; ++p)
      for (int q = 0; q < g.q; ++q) {
        const ResizeTaps rows = resize_taps(p, g.h, g.p), columns = resize_taps(q, g.w, g.q);
        for (int c = 0; c < g.c; ++c, ++o)
          for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 2; ++j)
              visit(o,
                    static_cast<std::size_t>(
                        ((n * g.h + rows.index[i]) * g.w + columns.index[j]) * g.c + c),
                    rows.weight[i] * columns.weight[j]);
      }
}

/// A weighted sum, and what bounds its rounding error.
struct Weighted {
  std::vector<double> value, magnitude;
  std::vector<int> terms;

  explicit Weighted(std::size_t n) : value(n), magnitude(n), terms(n) {}
  void add(std::size_t i, double weight, double x) {
    value[i] += weight * x;
    // Weights are differences from 1, so their error is relative to 1, not to themselves.
    magnitude[i] += std::fabs(x);
    ++terms[i];
  }
  std::vector<double> bound(double c = 4.0) const {
    std::vector<double> result(value.size());
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = c * std::sqrt(static_cast<double>(terms[i]) + 1.0) * 6e-8 * magnitude[i] + 1e-30;
    return result;
  }
};

inline Weighted bilinear_forward(const Resize& g, const std::vector<float>& x) {
  Weighted y(g.y_size());
  for_each_sample(g, [&](std::size_t o, std::size_t i, double weight) {
    y.add(o, weight, static_cast<double>(x[i]));
  });
  return y;
}

inline Weighted bilinear_backward(const Resize& g, const std::vector<float>& dy) {
  Weighted dx(g.x_size());
  for_each_sample(g, [&](std::size_t o, std::size_t i, double weight) {
    dx.add(i, weight, static_cast<double>(dy[o]));
  });
  return dx;
}

}  // namespace curvseg::reference
