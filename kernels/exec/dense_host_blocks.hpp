// Products in pieces so small that Eigen keeps its packing buffers on the stack, where it would
// take them from the heap; and the QR factorisation of dense_host.cpp, in the caller's workspace.
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace curvseg::CURVSEG_TARGET {
namespace {

using Matrix = Eigen::MatrixXf;  // column-major
using Block = Eigen::Ref<Matrix, 0, Eigen::OuterStride<>>;
using Index = Eigen::Index;

constexpr Index kPiece = 128;       // rows and columns of a product
constexpr Index kPieceDepth = 192;  // its terms
static_assert(kPiece * kPieceDepth * Index{sizeof(float)} <= EIGEN_STACK_ALLOCATION_LIMIT,
              "a packed operand lies on the stack");

/// Calls f(first, count) for pieces of [0, n).
template <class F>
void for_each_piece(Index n, Index most, const F& f) {
  for (Index first = 0; first < n; first += most) f(first, std::min(most, n - first));
}

/// c += a·b, or c −= a·b; terms in the same order whatever the pieces of c. Signs are told, not
/// factors: Eigen takes a scaled row of a product from the heap.
template <bool kNegative, class A, class B>
void add_product(Block c, const A& a, const B& b) {
  for_each_piece(a.cols(), kPieceDepth, [&](Index k, Index depth) {
    for_each_piece(c.cols(), kPiece, [&](Index j, Index columns) {
      for_each_piece(c.rows(), kPiece, [&](Index i, Index rows) {
        const auto product = a.block(i, k, rows, depth) * b.block(k, j, depth, columns);
        if constexpr (kNegative)
          c.block(i, j, rows, columns).noalias() -= product;
        else
          c.block(i, j, rows, columns).noalias() += product;
      });
    });
  });
}
constexpr bool kAdd = false, kSubtract = true;

// Blocks of reflections are I − V·T·Vᵀ (Schreiber and Van Loan 1989).

constexpr Index kPanel = 32;  // reflections of a block

/// Floats of a QR factorisation of n x n beside the matrix: V, W, and T of all blocks.
std::int64_t qr_workspace(std::int64_t n) { return 2 * n * kPanel + (n + kPanel) * kPanel; }

/// x ← its reflection onto the first axis, with v behind its first element; returns τ of
/// I − τ·v·vᵀ, v beginning with a 1.
float reflect(Eigen::Ref<Eigen::VectorXf> x) {
  const Index rest = x.size() - 1;
  const float alpha = x(0), square = x.tail(rest).squaredNorm();
  if (!(square > 0.0f)) return 0.0f;
  const float length = std::sqrt(alpha * alpha + square);
  const float beta = alpha < 0.0f ? length : -length;
  x.tail(rest) *= 1.0f / (alpha - beta);
  x(0) = beta;
  return (beta - alpha) / beta;
}

/// One factorisation and its memory.
class Qr {
 public:
  /// a ← R above the diagonal, reflections below. `workspace`: qr_workspace(n) floats.
  Qr(Block a, float* workspace)
      : a_(a), n_(a.rows()), v_(workspace), w_(v_ + n_ * kPanel), t_(w_ + n_ * kPanel) {
    for (Index p = 0; p < n_; p += kPanel) {
      const Index columns = std::min(kPanel, n_ - p);
      factorise_panel(p, columns);
      apply(p, columns, a_.block(p, p + columns, n_ - p, n_ - p - columns), /*transposed=*/true);
    }
  }

  /// q ← Q.
  void make_q(Block q) {
    q.setIdentity();
    for (Index p = (n_ - 1) / kPanel * kPanel; p >= 0; p -= kPanel)
      apply(p, std::min(kPanel, n_ - p), q.bottomRightCorner(n_ - p, n_ - p), false);
  }

 private:
  using Small = Eigen::Map<Eigen::Matrix<float, kPanel, kPanel>>;

  Small t(Index p) { return Small(t_ + p * kPanel); }

  void factorise_panel(Index p, Index columns) {
    Small t = this->t(p);
    t.setZero();
    for (Index j = 0; j < columns; ++j) {
      const Index rest = n_ - p - j - 1;
      auto x = a_.col(p + j).tail(rest + 1);
      const float tau = reflect(x);
      const auto tail = x.tail(rest);
      for (Index k = j + 1; k < columns; ++k) {
        auto y = a_.col(p + k).tail(rest + 1);
        const float share = tau * (y(0) + tail.dot(y.tail(rest)));
        y(0) -= share;
        y.tail(rest) -= share * tail;
      }
      // T's column: −τ·T·Vᵀv above τ.
      float products[kPanel];
      for (Index k = 0; k < j; ++k) {
        const auto other = a_.col(p + k).tail(rest + 1);
        products[k] = other(0) + other.tail(rest).dot(tail);
      }
      for (Index i = 0; i < j; ++i) {
        float sum = 0.0f;
        for (Index k = i; k < j; ++k) sum += t(i, k) * products[k];
        t(i, j) = -tau * sum;
      }
      t(j, j) = tau;
    }
  }

  /// c ← (I − V·T·Vᵀ)c, or with Tᵀ.
  void apply(Index p, Index columns, Block c, bool transposed) {
    if (c.cols() == 0) return;
    Eigen::Map<Matrix> v(v_, n_ - p, columns);
    v = a_.block(p, p, n_ - p, columns);
    for (Index j = 0; j < columns; ++j) {
      v.col(j).head(j).setZero();
      v(j, j) = 1.0f;
    }
    Eigen::Map<Matrix> w(w_, columns, c.cols());
    w.setZero();
    add_product<kAdd>(w, v.transpose(), c);
    const Small t = this->t(p);
    for (Index j = 0; j < w.cols(); ++j) {
      float* x = &w(0, j);
      if (transposed)
        for (Index i = columns - 1; i >= 0; --i) {
          float sum = 0.0f;
          for (Index k = 0; k <= i; ++k) sum += t(k, i) * x[k];
          x[i] = sum;
        }
      else
        for (Index i = 0; i < columns; ++i) {
          float sum = 0.0f;
          for (Index k = i; k < columns; ++k) sum += t(i, k) * x[k];
          x[i] = sum;
        }
    }
    add_product<kSubtract>(c, v, w);
  }

  Block a_;
  Index n_;
  float *v_, *w_, *t_;
};

}  // namespace
}  // namespace curvseg::CURVSEG_TARGET
