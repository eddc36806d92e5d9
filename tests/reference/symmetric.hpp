// Small symmetric matrices in double: products, solutions, eigenvalues, and conjugate gradients as
// the textbook has them. Knows nothing of the kernels or solvers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace curvseg::reference {

using Vector = std::vector<double>;

inline double inner(const Vector& x, const Vector& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}
inline double norm(const Vector& x) { return std::sqrt(inner(x, x)); }

struct Symmetric {
  std::size_t n = 0;
  Vector element;  // row by row

  explicit Symmetric(std::size_t size) : n(size), element(size * size, 0.0) {}
  double& at(std::size_t i, std::size_t j) { return element[i * n + j]; }
  double at(std::size_t i, std::size_t j) const { return element[i * n + j]; }

  Vector operator*(const Vector& x) const {
    Vector y(n, 0.0);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) y[i] += at(i, j) * x[j];
    return y;
  }
  double trace() const {
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += at(i, i);
    return sum;
  }
};

/// Q·diag(spectrum)·Qᵀ with Q a product of random Householder reflections, rounded to float so that
/// a device holds the same matrix.
inline Symmetric with_spectrum(const Vector& spectrum, unsigned seed) {
  const std::size_t n = spectrum.size();
  Symmetric a(n);
  for (std::size_t i = 0; i < n; ++i) a.at(i, i) = spectrum[i];
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (int reflection = 0; reflection < 4; ++reflection) {
    Vector u(n);
    for (double& element : u) element = normal(engine);
    const double length = norm(u);
    for (double& element : u) element /= length;
    // (I − 2uuᵀ)·A·(I − 2uuᵀ) = A − 2u·(Au)ᵀ − 2(Au)·uᵀ + 4(uᵀAu)·uuᵀ
    const Vector au = a * u;
    const double uau = inner(u, au);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        a.at(i, j) += -2.0 * (u[i] * au[j] + au[i] * u[j]) + 4.0 * uau * u[i] * u[j];
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j)
      a.at(i, j) = a.at(j, i) = static_cast<double>(static_cast<float>(a.at(i, j)));
  return a;
}

/// A⁻¹·b by Cholesky; A positive definite.
inline Vector solve(const Symmetric& a, const Vector& b) {
  const std::size_t n = a.n;
  Symmetric l(n);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t i = j; i < n; ++i) {
      double sum = a.at(i, j);
      for (std::size_t k = 0; k < j; ++k) sum -= l.at(i, k) * l.at(j, k);
      l.at(i, j) = i == j ? std::sqrt(sum) : sum / l.at(j, j);
    }
  Vector x(b);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) x[i] -= l.at(i, k) * x[k];
    x[i] /= l.at(i, i);
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) x[i] -= l.at(k, i) * x[k];
    x[i] /= l.at(i, i);
  }
  return x;
}

/// All eigenvalues, ascending, by cyclic Jacobi rotations (Golub and Van Loan, section 8.5).
inline Vector eigenvalues(Symmetric a) {
  const std::size_t n = a.n;
  for (int sweep = 0; sweep < 30; ++sweep)
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        if (a.at(p, q) == 0.0) continue;
        const double tau = (a.at(q, q) - a.at(p, p)) / (2.0 * a.at(p, q));
        const double t = (tau >= 0.0 ? 1.0 : -1.0) / (std::fabs(tau) + std::hypot(1.0, tau));
        const double c = 1.0 / std::hypot(1.0, t), s = t * c;
        for (std::size_t k = 0; k < n; ++k) {
          const double akp = a.at(k, p), akq = a.at(k, q);
          a.at(k, p) = c * akp - s * akq;
          a.at(k, q) = s * akp + c * akq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double apk = a.at(p, k), aqk = a.at(q, k);
          a.at(p, k) = c * apk - s * aqk;
          a.at(q, k) = s * apk + c * aqk;
        }
      }
  Vector values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = a.at(i, i);
  std::sort(values.begin(), values.end());
  return values;
}

/// φ(x) = ½xᵀA·x − bᵀx
inline double quadratic_model(const Symmetric& a, const Vector& b, const Vector& x) {
  return 0.5 * inner(x, a * x) - inner(b, x);
}

/// Where Steihaug's truncated conjugate gradients end, from 0: at the boundary of ‖x‖² = Σ
/// x²/metric ≤ radius², at ‖r‖ ≤ tolerance·‖b‖, or after `iterations`. Preconditioned by `weights`.
inline Vector steihaug(const Symmetric& a, const Vector& b, const Vector& weights,
                       const Vector& metric, double radius, double tolerance, int iterations) {
  const std::size_t n = b.size();
  const auto weighted = [&](const Vector& r) {
    Vector z(n);
    for (std::size_t i = 0; i < n; ++i) z[i] = weights[i] * r[i];
    return z;
  };
  const auto product = [&](const Vector& u, const Vector& v) {
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += u[i] * v[i] / metric[i];
    return sum;
  };
  const auto moved = [&](const Vector& x, double step, const Vector& p) {
    Vector y(x);
    for (std::size_t i = 0; i < n; ++i) y[i] += step * p[i];
    return y;
  };
  Vector x(n, 0.0), r(b), p = weighted(r);
  for (int i = 0; i < iterations && norm(r) > tolerance * norm(b); ++i) {
    const Vector q = a * p;
    const double curvature = inner(p, q), rz = inner(r, weighted(r));
    const Vector next = moved(x, rz / curvature, p);
    if (curvature <= 0.0 || product(next, next) >= radius * radius) {
      const double xp = product(x, p), pp = product(p, p), xx = product(x, x);
      return moved(x, (-xp + std::sqrt(xp * xp + pp * (radius * radius - xx))) / pp, p);
    }
    x = next;
    r = moved(r, -rz / curvature, q);
    p = moved(weighted(r), inner(r, weighted(r)) / rz, p);
  }
  return x;
}

}  // namespace curvseg::reference
