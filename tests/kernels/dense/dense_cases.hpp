// Square matrices with gaps between their rows, in device memory, and batches of them.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "reference/dense.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {

using reference::DenseMatrix;

/// n x n values, dense on the host; on the device a row begins every n + gap elements.
struct SquareMatrix {
  int n;
  std::vector<float> values;

  std::size_t size() const { return static_cast<std::size_t>(n); }
  float& at(int i, int j) {
    return values[static_cast<std::size_t>(i) * size() + static_cast<std::size_t>(j)];
  }
  DenseMatrix reference() const { return DenseMatrix(size(), size(), values); }
};

inline SquareMatrix uniform_matrix(int n, unsigned seed) {
  const auto size = static_cast<std::size_t>(n);
  return {n, uniform_floats(size * size, seed)};
}

inline SquareMatrix symmetric_matrix(int n, unsigned seed) {
  SquareMatrix a = uniform_matrix(n, seed);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < i; ++j) a.at(i, j) = a.at(j, i);
  return a;
}

/// XXᵀ/m of uniform n x m numbers with m = n + 8: eigenvalues between some 1/n² and 1.3.
inline SquareMatrix positive_matrix(int n, unsigned seed) {
  const auto rows = static_cast<std::size_t>(n), columns = rows + 8;
  const DenseMatrix x(rows, columns, uniform_floats(rows * columns, seed));
  const DenseMatrix product = multiply(x, transpose(x));
  SquareMatrix a{n, std::vector<float>(rows * rows)};
  for (std::size_t i = 0; i < a.values.size(); ++i)
    a.values[i] = static_cast<float>(product.values[i] / static_cast<double>(columns));
  return a;
}

inline SquareMatrix identity_matrix(int n, float scale = 1.0f) {
  SquareMatrix a{n, std::vector<float>(static_cast<std::size_t>(n) * static_cast<std::size_t>(n))};
  for (int i = 0; i < n; ++i) a.at(i, i) = scale;
  return a;
}

class DenseTest : public TargetTest {
 protected:
  static constexpr int kGap = 3;
  static std::int64_t stride(int n) { return n + kGap; }

  /// On both sides of the blocks that the host computes in, where that is quick.
  std::vector<int> sizes() const {
    std::vector<int> result{1, 2, 3, 17, 33};
    if (!emulated()) result.insert(result.end(), {145, 289});
    return result;
  }

  DeviceBuffer<float> upload_matrix(const SquareMatrix& a) const {
    std::vector<float> all(a.size() * static_cast<std::size_t>(stride(a.n)), NAN);
    for (std::size_t i = 0; i < a.values.size(); ++i)
      all[i / a.size() * static_cast<std::size_t>(stride(a.n)) + i % a.size()] = a.values[i];
    return upload(all);
  }
  DeviceBuffer<float> output_matrix(int n) const {
    return output<float>(static_cast<std::size_t>(n * stride(n)));
  }
  /// Also checks that nothing was written between the rows.
  SquareMatrix download_matrix(const DeviceBuffer<float>& buffer, int n) const {
    const auto all = download(buffer);
    SquareMatrix a{n, {}};
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % static_cast<std::size_t>(stride(n)) < a.size())
        a.values.push_back(all[i]);
      else
        EXPECT_TRUE(std::isnan(all[i])) << "written between rows, element " << i;
    }
    return a;
  }
};

/// The device memory of a matrix whose last row begins more than 2^31 elements behind its first.
inline PixelBuffer far_matrix(const Target& target, const SquareMatrix& a) {
  return {target, a.values, a.n, kFarPixels};
}

/// The largest |QᵀQ − I| in an element.
inline double loss_of_orthogonality(const DenseMatrix& q) {
  DenseMatrix product = multiply(transpose(q), q);
  for (std::size_t i = 0; i < q.rows; ++i) product.at(i, i) -= 1.0;
  double worst = 0.0;
  for (const double value : product.values)
    worst = std::isnan(value) ? value : std::max(worst, std::fabs(value));
  return worst;
}

}  // namespace curvseg::testing
