// What rounding may do to a convolution by minimal filtering F(2x2, 3x3), in double precision.
// Knows nothing of the kernels.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "reference/conv2d.hpp"

namespace curvseg::reference {

namespace winograd {

template <std::size_t kSize>
using Square = std::array<std::array<double, kSize>, kSize>;
template <std::size_t kRows, std::size_t kColumns>
using Matrix = std::array<std::array<double, kColumns>, kRows>;

// |Bᵀ|, |G|, |Aᵀ|
inline constexpr Matrix<4, 4> kB{{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}}};
inline constexpr Matrix<4, 3> kG{{{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}}};
inline constexpr Matrix<2, 4> kA{{{1, 1, 1, 0}, {0, 1, 1, 1}}};

template <std::size_t kRows, std::size_t kColumns>
Matrix<kColumns, kRows> transposed(const Matrix<kRows, kColumns>& m) {
  Matrix<kColumns, kRows> result{};
  for (std::size_t i = 0; i < kRows; ++i)
    for (std::size_t j = 0; j < kColumns; ++j) result[j][i] = m[i][j];
  return result;
}

/// m x mᵀ
template <std::size_t kRows, std::size_t kColumns>
Square<kRows> sandwich(const Matrix<kRows, kColumns>& m, const Square<kColumns>& x) {
  Square<kRows> result{};
  for (std::size_t i = 0; i < kRows; ++i)
    for (std::size_t j = 0; j < kRows; ++j)
      for (std::size_t a = 0; a < kColumns; ++a)
        for (std::size_t b = 0; b < kColumns; ++b) result[i][j] += m[i][a] * x[a][b] * m[j][b];
  return result;
}

inline std::size_t index(int a, int b, int d, int e, int rows, int columns, int channels) {
  return ((static_cast<std::size_t>(a) * static_cast<std::size_t>(rows) +
           static_cast<std::size_t>(b)) *
              static_cast<std::size_t>(columns) +
          static_cast<std::size_t>(d)) *
             static_cast<std::size_t>(channels) +
         static_cast<std::size_t>(e);
}

/// |x| around (row, column), zero outside the image.
template <std::size_t kSize>
Square<kSize> window(const std::vector<float>& x, int image, int row, int column, int channel,
                     int h, int w, int channels) {
  Square<kSize> result{};
  for (int i = 0; i < static_cast<int>(kSize); ++i)
    for (int j = 0; j < static_cast<int>(kSize); ++j)
      if (row + i >= 0 && row + i < h && column + j >= 0 && column + j < w)
        result[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = std::fabs(
            static_cast<double>(x[index(image, row + i, column + j, channel, h, w, channels)]));
  return result;
}

/// |G| |g| |G|ᵀ of one channel and output.
inline Square<4> filter(const std::vector<float>& taps, int channel, int output, int c, int k) {
  Square<3> g{};
  for (int r = 0; r < 3; ++r)
    for (int s = 0; s < 3; ++s)
      g[static_cast<std::size_t>(r)][static_cast<std::size_t>(s)] =
          std::fabs(static_cast<double>(taps[index(r, s, channel, output, 3, c, k)]));
  return sandwich<4, 3>(kG, g);
}

}  // namespace winograd

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
    using namespace winograd;
    std::vector<double> result(Conv2d::size(n, p, q, k));
    for (int image = 0; image < n; ++image)
      for (int row = 0; row < p; row += 2)
        for (int column = 0; column < q; column += 2)
          for (int o = 0; o < k; ++o) {
            Square<4> products{};
            for (int channel = 0; channel < c; ++channel) {
              const Square<4> d = sandwich<4, 4>(
                  kB,
                  window<4>(source, image, row + offset_h, column + offset_w, channel, h, w, c));
              const Square<4> u = filter(taps, channel, o, c, k);
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

/// The same for the weight gradient Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ) ] G:
///
///   M = |Gᵀ| ( Σ_tiles (|Bᵀ| |d| |B|) ⊙ (|A| |dy| |Aᵀ|) ) |G|
///
/// For |d| ≤ δ and |dy| ≤ η, M ≤ 36·δ·η a tile, where the direct sum has 4·δ·η.
inline std::vector<double> winograd_weight_magnitudes(const Conv2d& g, const std::vector<float>& x,
                                                      const std::vector<float>& dy) {
  using namespace winograd;
  std::vector<double> result(g.w_size());
  for (int c = 0; c < g.c; ++c)
    for (int k = 0; k < g.k; ++k) {
      Square<4> products{};
      for (int n = 0; n < g.n; ++n)
        for (int row = 0; row < g.p(); row += 2)
          for (int column = 0; column < g.q(); column += 2) {
            const Square<4> d = sandwich<4, 4>(
                kB, window<4>(x, n, row - g.pad_h, column - g.pad_w, c, g.h, g.w, g.c));
            const Square<4> y =
                sandwich<4, 2>(transposed(kA), window<2>(dy, n, row, column, k, g.p(), g.q(), g.k));
            for (std::size_t e = 0; e < 16; ++e)
              products[e / 4][e % 4] += d[e / 4][e % 4] * y[e / 4][e % 4];
          }
      const Square<3> gradient = sandwich<3, 4>(transposed(kG), products);
      for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s)
          result[index(r, s, c, k, 3, g.c, g.k)] =
              gradient[static_cast<std::size_t>(r)][static_cast<std::size_t>(s)];
    }
  return result;
}

/// Tiles of one image and of all.
inline int winograd_tiles(const Conv2d& g) { return g.n * ((g.p() + 1) / 2) * ((g.q() + 1) / 2); }

/// (C + 10) roundings at the most lie between the inputs and an output: two of a patch's sums, four
/// of the filter's, C of the products', four of the outputs'. Like Sums::bound(): they add up like
/// a random walk.
inline std::vector<double> winograd_bound(std::vector<double> magnitudes, int channels,
                                          double c = 1.0) {
  for (double& m : magnitudes) m = c * std::sqrt(channels + 10.0) * 6e-8 * m + 1e-30;
  return magnitudes;
}

}  // namespace curvseg::reference
