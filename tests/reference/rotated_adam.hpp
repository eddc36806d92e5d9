// SOAP's direction for one layer, and the orthogonalisation of Muon, in double precision, as their
// papers write them. Knows nothing of the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "reference/dense.hpp"

namespace curvseg::reference {

inline DenseMatrix identity(std::size_t n) {
  DenseMatrix result(n, n);
  for (std::size_t i = 0; i < n; ++i) result.at(i, i) = 1.0;
  return result;
}

/// Columns: the eigenvectors of a symmetric matrix, those of the largest eigenvalues first. Cyclic
/// Jacobi rotations (Golub and Van Loan, section 8.5).
inline DenseMatrix eigenvectors(DenseMatrix a) {
  const std::size_t n = a.rows;
  DenseMatrix q = identity(n);
  for (int sweep = 0; sweep < 30; ++sweep)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i + 1; j < n; ++j) {
        if (a.at(i, j) == 0.0) continue;
        const double angle = 0.5 * std::atan2(2.0 * a.at(i, j), a.at(j, j) - a.at(i, i));
        DenseMatrix turn = identity(n);
        turn.at(i, i) = turn.at(j, j) = std::cos(angle);
        turn.at(i, j) = std::sin(angle);
        turn.at(j, i) = -std::sin(angle);
        a = multiply(transpose(turn), multiply(a, turn));
        q = multiply(q, turn);
      }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return a.at(i, i) > a.at(j, j); });
  DenseMatrix result(n, n);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t i = 0; i < n; ++i) result.at(i, j) = q.at(i, order[j]);
  return result;
}

/// Columns that span, the first j of them, what the first j of `a` span: Gram-Schmidt, twice.
inline DenseMatrix orthonormal(DenseMatrix a) {
  for (std::size_t j = 0; j < a.columns; ++j)
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t k = 0; k < j; ++k) {
        double along = 0.0;
        for (std::size_t i = 0; i < a.rows; ++i) along += a.at(i, k) * a.at(i, j);
        for (std::size_t i = 0; i < a.rows; ++i) a.at(i, j) -= along * a.at(i, k);
      }
      double square = 0.0;
      for (std::size_t i = 0; i < a.rows; ++i) square += a.at(i, j) * a.at(i, j);
      for (std::size_t i = 0; i < a.rows; ++i) a.at(i, j) /= std::sqrt(square);
    }
  return a;
}

struct RotatedAdamOptions {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, factor_decay = 0.95;
  int factor_every = 1, basis_every = 10;
  std::size_t group = 2048;  // channels that share a basis
};

/// Adam in the eigenbasis of Shampoo's factors (Vyas et al. 2025), for a layer whose taps, one
/// matrix each, share the factors.
class RotatedAdam {
 public:
  RotatedAdam(const RotatedAdamOptions& options, std::size_t taps, std::size_t rows,
              std::size_t columns)
      : o_(options),
        m_(taps, DenseMatrix(rows, columns)),
        v_(m_),
        factor_{DenseMatrix(rows, rows), DenseMatrix(columns, columns)},
        basis_{identity(rows), identity(columns)} {}

  /// Its direction for the gradient of step t, 1 for the first.
  std::vector<DenseMatrix> direction(const std::vector<DenseMatrix>& g, int t) {
    if ((t - 1) % o_.factor_every == 0)
      for (const bool right : {false, true}) add_squares(g, right);
    if (t == 1) {
      for (std::size_t s = 0; s < 2; ++s)
        if (turns(s)) basis_[s] = eigenvectors(factor_[s]);
    } else if (t % o_.basis_every == 0) {
      for (DenseMatrix& m : m_) m = back(m);
      for (std::size_t s = 0; s < 2; ++s)
        if (turns(s)) basis_[s] = orthonormal(multiply(factor_[s], basis_[s]));
      for (DenseMatrix& m : m_) m = there(m);
    }
    std::vector<DenseMatrix> result;
    for (std::size_t tap = 0; tap < g.size(); ++tap) {
      const DenseMatrix r = there(g[tap]);
      DenseMatrix d(r.rows, r.columns);
      for (std::size_t i = 0; i < r.values.size(); ++i) {
        double &m = m_[tap].values[i], &v = v_[tap].values[i];
        m = o_.beta1 * m + (1.0 - o_.beta1) * r.values[i];
        v = o_.beta2 * v + (1.0 - o_.beta2) * r.values[i] * r.values[i];
        const double root = std::sqrt(v / (1.0 - std::pow(o_.beta2, t)));
        d.values[i] = m / (1.0 - std::pow(o_.beta1, t)) / (root + o_.epsilon);
      }
      result.push_back(back(d));
    }
    return result;
  }

 private:
  bool turns(std::size_t side) const { return basis_[side].rows > 1; }
  void add_squares(const std::vector<DenseMatrix>& g, bool right) {
    DenseMatrix& factor = factor_[right ? 1 : 0];
    for (double& each : factor.values) each *= o_.factor_decay;
    for (const DenseMatrix& tap : g) {
      const DenseMatrix square =
          right ? multiply(transpose(tap), tap) : multiply(tap, transpose(tap));
      for (std::size_t i = 0; i < factor.rows; ++i)
        for (std::size_t j = 0; j < factor.columns; ++j)
          if (i / o_.group == j / o_.group)
            factor.at(i, j) += (1.0 - o_.factor_decay) * square.at(i, j);
    }
  }
  DenseMatrix there(const DenseMatrix& x) const {
    return multiply(transpose(basis_[0]), multiply(x, basis_[1]));
  }
  DenseMatrix back(const DenseMatrix& x) const {
    return multiply(basis_[0], multiply(x, transpose(basis_[1])));
  }

  RotatedAdamOptions o_;
  std::vector<DenseMatrix> m_, v_;
  DenseMatrix factor_[2], basis_[2];  // left, right
};

/// Five steps of the Newton-Schulz iteration of Muon (Jordan et al. 2024) from X / |X|.
inline DenseMatrix newton_schulz(DenseMatrix x) {
  double square = 0.0;
  for (const double value : x.values) square += value * value;
  for (double& value : x.values) value /= std::sqrt(square);
  for (int i = 0; i < 5; ++i) {
    const DenseMatrix a = multiply(x, transpose(x));
    DenseMatrix b = multiply(a, a);
    for (std::size_t j = 0; j < b.values.size(); ++j)
      b.values[j] = -4.7750 * a.values[j] + 2.0315 * b.values[j];
    const DenseMatrix bx = multiply(b, x);
    for (std::size_t j = 0; j < x.values.size(); ++j)
      x.values[j] = 3.4445 * x.values[j] + bx.values[j];
  }
  return x;
}

}  // namespace curvseg::reference
