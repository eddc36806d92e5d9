// Dense matrices in double, row-major: products, an inverse by elimination, eigenvalues by Jacobi
// rotations. Knows nothing of the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace curvseg::reference {

/// rows x columns, element (i, j) at `at(i, j)`.
struct DenseMatrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;

  DenseMatrix(std::size_t r, std::size_t c) : rows(r), columns(c), values(r * c, 0.0) {}
  template <class T>
  DenseMatrix(std::size_t r, std::size_t c, const std::vector<T>& from)
      : rows(r), columns(c), values(from.begin(), from.end()) {}

  double& at(std::size_t i, std::size_t j) { return values[i * columns + j]; }
  double at(std::size_t i, std::size_t j) const { return values[i * columns + j]; }
};

inline DenseMatrix multiply(const DenseMatrix& a, const DenseMatrix& b) {
  DenseMatrix c(a.rows, b.columns);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < a.columns; ++k)
      for (std::size_t j = 0; j < b.columns; ++j) c.at(i, j) += a.at(i, k) * b.at(k, j);
  return c;
}

inline DenseMatrix transpose(const DenseMatrix& a) {
  DenseMatrix t(a.columns, a.rows);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.columns; ++j) t.at(j, i) = a.at(i, j);
  return t;
}

inline DenseMatrix absolute(DenseMatrix a) {
  for (double& value : a.values) value = std::fabs(value);
  return a;
}

/// The largest sum of magnitudes of a row.
inline double row_norm(const DenseMatrix& a) {
  double norm = 0.0;
  for (std::size_t i = 0; i < a.rows; ++i) {
    double sum = 0.0;
    for (std::size_t j = 0; j < a.columns; ++j) sum += std::fabs(a.at(i, j));
    norm = std::max(norm, sum);
  }
  return norm;
}

/// Gauss-Jordan elimination with row pivots.
inline DenseMatrix inverse(DenseMatrix a) {
  const std::size_t n = a.rows;
  DenseMatrix x(n, n);
  for (std::size_t i = 0; i < n; ++i) x.at(i, i) = 1.0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < n; ++i)
      if (std::fabs(a.at(i, k)) > std::fabs(a.at(pivot, k))) pivot = i;
    for (std::size_t j = 0; j < n; ++j) {
      std::swap(a.at(k, j), a.at(pivot, j));
      std::swap(x.at(k, j), x.at(pivot, j));
    }
    const double scale = 1.0 / a.at(k, k);
    for (std::size_t j = 0; j < n; ++j) {
      a.at(k, j) *= scale;
      x.at(k, j) *= scale;
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = a.at(i, k);
      for (std::size_t j = 0; j < n; ++j) {
        a.at(i, j) -= factor * a.at(k, j);
        x.at(i, j) -= factor * x.at(k, j);
      }
    }
  }
  return x;
}

/// Ascending, of a symmetric matrix: cyclic Jacobi rotations (Golub and Van Loan, section 8.5).
inline std::vector<double> symmetric_eigenvalues(DenseMatrix a) {
  const std::size_t n = a.rows;
  for (int sweep = 0; sweep < 30; ++sweep)
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        if (a.at(p, q) == 0.0) continue;
        const double angle = 0.5 * std::atan2(2.0 * a.at(p, q), a.at(q, q) - a.at(p, p));
        const double c = std::cos(angle), s = std::sin(angle);
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a.at(k, p), y = a.at(k, q);
          a.at(k, p) = c * x - s * y;
          a.at(k, q) = s * x + c * y;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a.at(p, k), y = a.at(q, k);
          a.at(p, k) = c * x - s * y;
          a.at(q, k) = s * x + c * y;
        }
      }
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = a.at(i, i);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace curvseg::reference
