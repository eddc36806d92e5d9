// What rounding may do to a convolution by minimal filtering F(2x2, 3x3), in double precision.
// Knows nothing of the kernels.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "reference/conv2d.hpp"

namespace curvseg::reference {

/// The magnitudes that rounding errors are relative to, an element an output of the correlation of
/// `source` [N,H,W,C] with 3x3 taps `taps` [3,3,C,K], `offset` from output to source on both axes:
///
///   M = |Aᵀ| ( Σ_c (|G| |g_c| |G|ᵀ) ⊙ (|Bᵀ| |d_c| |B|) ) |A|,  tile by tile
///
/// Every |Bᵀ| row sums two elements, |Aᵀ| three, |G| half of three: for |d| ≤ δ and |g| ≤ γ,
/// M ≤ 64·C·δ·γ, where the direct sum has 9·C·δ·γ.
struct WinogradMagnitudes {
  int n, h, w, c, p, q, k;
  int offset_h, offset_w;

  std::vector<double> of(const std::vector<float>& source, const std::vector<float>& taps) const {
    std::vector<double> result(Conv2d::size(n, p, q, k));
    for (int image = 0; image < n; ++image)
      for (int row = 0; row < p; row += 2)
        for (int column = 0; column < q; column += 2)
          for (int o = 0; o < k; ++o) {
            Square<4> products{};
            for (int channel = 0; channel < c; ++channel) {
              const Square<4> d = patch(source, image, row, column, channel);
              const Square<4> u = filter(taps, channel, o);
              for (std::size_t e = 0; e < 16; ++e)
                products[e / 4][e % 4] += d[e / 4][e % 4] * u[e / 4][e % 4];
            }
            const auto y = sandwich<2, 4>(kA, products);
            for (int i = 0; i < 2 && row + i < p; ++i)
              for (int j = 0; j < 2 && column + j < q; ++j)
                result[index(image, row + i, column + j, o, p, q, k)] =
                    y[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
          }
    return result;
  }

 private:
  template <std::size_t kSize>
  using Square = std::array<std::array<double, kSize>, kSize>;
  template <std::size_t kRows, std::size_t kColumns>
  using Matrix = std::array<std::array<double, kColumns>, kRows>;
  static constexpr Matrix<4, 4> kB{{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}}};
  static constexpr Matrix<4, 3> kG{{{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}}};
  static constexpr Matrix<2, 4> kA{{{1, 1, 1, 0}, {0, 1, 1, 1}}};

  /// m x mᵀ
  template <std::size_t kRows, std::size_t kColumns>
  static Square<kRows> sandwich(const Matrix<kRows, kColumns>& m, const Square<kColumns>& x) {
    Square<kRows> result{};
    for (std::size_t i = 0; i < kRows; ++i)
      for (std::size_t j = 0; j < kRows; ++j)
        for (std::size_t a = 0; a < kColumns; ++a)
          for (std::size_t b = 0; b < kColumns; ++b) result[i][j] += m[i][a] * x[a][b] * m[j][b];
    return result;
  }
  static std::size_t index(int a, int b, int d, int e, int rows, int columns, int channels) {
    return ((static_cast<std::size_t>(a) * static_cast<std::size_t>(rows) +
             static_cast<std::size_t>(b)) *
                static_cast<std::size_t>(columns) +
            static_cast<std::size_t>(d)) *
               static_cast<std::size_t>(channels) +
           static_cast<std::size_t>(e);
  }
  Square<4> patch(const std::vector<float>& source, int image, int row, int column,
                  int channel) const {
    Square<4> d{};
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const int y = row + offset_h + i, x = column + offset_w + j;
        if (y >= 0 && y < h && x >= 0 && x < w)
          d[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
              std::fabs(static_cast<double>(source[index(image, y, x, channel, h, w, c)]));
      }
    return sandwich<4, 4>(kB, d);
  }
  Square<4> filter(const std::vector<float>& taps, int channel, int output) const {
    Square<3> g{};
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t s = 0; s < 3; ++s)
        g[r][s] = std::fabs(static_cast<double>(
            taps[index(static_cast<int>(r), static_cast<int>(s), channel, output, 3, c, k)]));
    return sandwich<4, 3>(kG, g);
  }
};

inline WinogradMagnitudes winograd_forward(const Conv2d& g) {
  return {g.n, g.h, g.w, g.c, g.p(), g.q(), g.k, -g.pad_h, -g.pad_w};
}
/// The data gradient is the correlation of dy with turned taps [3,3,K,C].
inline WinogradMagnitudes winograd_backward_data(const Conv2d& g) {
  return {g.n, g.p(), g.q(), g.k, g.h, g.w, g.c, g.pad_h - 2, g.pad_w - 2};
}
inline std::vector<float> turned_taps(const Conv2d& g, const std::vector<float>& w) {
  std::vector<float> result(w.size());
  const auto c = static_cast<std::size_t>(g.c), k = static_cast<std::size_t>(g.k);
  for (std::size_t tap = 0; tap < 9; ++tap)
    for (std::size_t i = 0; i < c; ++i)
      for (std::size_t o = 0; o < k; ++o)
        result[((8 - tap) * k + o) * c + i] = w[(tap * c + i) * k + o];
  return result;
}

/// (C + 10) roundings at the most lie between the inputs and an output: two of a patch's sums, four
/// of the filter's, C of the products', four of the outputs'. Like Sums::bound(): they add up like
/// a random walk.
inline std::vector<double> winograd_bound(std::vector<double> magnitudes, int channels,
                                          double c = 1.0) {
  for (double& m : magnitudes) m = c * std::sqrt(channels + 10.0) * 6e-8 * m + 1e-30;
  return magnitudes;
}

}  // namespace curvseg::reference
