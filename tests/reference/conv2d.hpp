// Convolution in double precision, as the formula is written. Knows nothing of the kernels.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace curvseg::reference {

struct Conv2d {
  int n, h, w, c;
  int k, r, s;
  int stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation_h = 1, dilation_w = 1;

  int p() const { return extent(h, r, stride_h, pad_h, dilation_h); }
  int q() const { return extent(w, s, stride_w, pad_w, dilation_w); }
  std::size_t x_size() const { return size(n, h, w, c); }
  std::size_t y_size() const { return size(n, p(), q(), k); }
  std::size_t w_size() const { return size(r, s, c, k); }

  static std::size_t size(int a, int b, int d, int e) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(d) *
           static_cast<std::size_t>(e);
  }
  static int extent(int in, int filter, int stride, int pad, int dilation) {
    const int reach = in + 2 * pad - dilation * (filter - 1) - 1;
    return reach < 0 ? 0 : reach / stride + 1;
  }
};

/// Calls visit(x index, w index, y index) for every product of the sum.
template <class Visit>
void for_each_product(const Conv2d& g, Visit visit) {
  for (int n = 0; n < g.n; ++n)
    for (int p = 0; p < g.p(); ++p)
      for (int q = 0; q < g.q(); ++q)
        for (int r = 0; r < g.r; ++r)
          for (int s = 0; s < g.s; ++s) {
            const int h = p * g.stride_h - g.pad_h + r * g.dilation_h;
            const int w = q * g.stride_w - g.pad_w + s * g.dilation_w;
            if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
            for (int c = 0; c < g.c; ++c)
              for (int k = 0; k < g.k; ++k)
                visit(((static_cast<std::size_t>(n) * g.h + h) * g.w + w) * g.c + c,
                      ((static_cast<std::size_t>(r) * g.s + s) * g.c + c) * g.k + k,
                      ((static_cast<std::size_t>(n) * g.p() + p) * g.q() + q) * g.k + k);
          }
}

/// A sum and what bounds its rounding error: terms and the sum of their magnitudes.
struct Sums {
  std::vector<double> value, magnitude;
  std::vector<int> terms;
  explicit Sums(std::size_t n) : value(n), magnitude(n), terms(n) {}
  void add(std::size_t i, double product) {
    value[i] += product;
    magnitude[i] += std::fabs(product);
    ++terms[i];
  }
  /// c · √terms · ε · Σ|a·b|: errors of a sum add up like a random walk, so a missing term shows.
  std::vector<double> bound(double c = 4.0) const {
    std::vector<double> result(value.size());
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = c * std::sqrt(static_cast<double>(terms[i]) + 1.0) * 6e-8 * magnitude[i] + 1e-30;
    return result;
  }
};

inline void forward(const Conv2d& g, const std::vector<float>& x, const std::vector<float>& w,
                    Sums& y) {
  for_each_product(g, [&](std::size_t i, std::size_t j, std::size_t o) {
    y.add(o, static_cast<double>(x[i]) * static_cast<double>(w[j]));
  });
}

inline void backward_data(const Conv2d& g, const std::vector<float>& dy,
                          const std::vector<float>& w, Sums& dx) {
  for_each_product(g, [&](std::size_t i, std::size_t j, std::size_t o) {
    dx.add(i, static_cast<double>(dy[o]) * static_cast<double>(w[j]));
  });
}

inline void backward_weights(const Conv2d& g, const std::vector<float>& x,
                             const std::vector<float>& dy, Sums& dw) {
  for_each_product(g, [&](std::size_t i, std::size_t j, std::size_t o) {
    dw.add(j, static_cast<double>(x[i]) * static_cast<double>(dy[o]));
  });
}

/// Σ_n (the weight gradient of image n alone)², and how far float32 may be from it.
struct SquaredGradients {
  std::vector<double> value, bound;
};

inline SquaredGradients squared_weight_gradients(const Conv2d& g, const std::vector<float>& x,
                                                 const std::vector<float>& dy) {
  SquaredGradients result{std::vector<double>(g.w_size()), std::vector<double>(g.w_size())};
  Conv2d one = g;
  one.n = 1;
  const auto slice = [](const std::vector<float>& all, std::size_t size, int n) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(size) * n;
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(size));
  };
  for (int n = 0; n < g.n; ++n) {
    Sums dw(g.w_size());
    backward_weights(one, slice(x, one.x_size(), n), slice(dy, one.y_size(), n), dw);
    const std::vector<double> error = dw.bound();
    for (std::size_t i = 0; i < dw.value.size(); ++i) {
      const double square = dw.value[i] * dw.value[i];
      result.value[i] += square;
      result.bound[i] += (2.0 * std::fabs(dw.value[i]) + error[i]) * error[i];
      result.bound[i] += 2.0 * std::sqrt(g.n + 1.0) * 6e-8 * square;
    }
  }
  return result;
}

}  // namespace curvseg::reference
