// The factorisations of dense/dense.hpp on the host target: Eigen, one thread a matrix, the
// matrices of a call spread over cores. Compiled once per instruction set.
//
//   inverse_spd         A = LLᵀ, L ← L⁻¹, A⁻¹ = L⁻ᵀL⁻¹, each blocked
//   orthonormal_basis   Householder's QR, blocked
//   symmetric_eigen     Eigen::SelfAdjointEigenSolver: tridiagonalisation and QL iterations
//
// Inverses and bases are refreshed again and again in a training: what they need lies in the
// caller's workspace, and their products are in pieces (dense_host_blocks.hpp). Nothing is taken
// from the heap but the vectors of SelfAdjointEigenSolver, once a training.
//
// Every thread sees the same block sizes, so a matrix has the same bits at any number of threads
// and on every processor of an instruction set.
#define EIGEN_DONT_PARALLELIZE
#define EIGEN_NO_DEBUG
#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>

#include "dense/launchers.hpp"
#include "exec/dense_host_blocks.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

using RowMajor = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                            0, Eigen::OuterStride<>>;

/// Eigen chooses block sizes, and with them the order of additions, by the sizes of caches that it
/// finds; here they are given: those of common server cores.
void fix_block_sizes() {
  [[maybe_unused]] static const bool done = [] {
    Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 16 << 20);
    return true;
  }();
}

/// Calls task(j) for all j below `count`, on all cores; larger matrices first, so that cores finish
/// together.
template <class Params, class Task>
void for_each_matrix(const Params& p, Task task) {
  fix_block_sizes();
  int order[kDenseBatch];
  std::iota(order, order + p.count, 0);
  // The first of equal ones first; std::stable_sort takes memory from the heap.
  std::sort(order, order + p.count, [&](int a, int b) {
    return p.matrix[a].n != p.matrix[b].n ? p.matrix[a].n > p.matrix[b].n : a < b;
  });
  bool out_of_memory = false;
  // An `if` clause would not do: libgomp takes a team of one thread from the heap.
  if (p.count <= 1 || omp_get_max_threads() == 1) {
    for (int i = 0; i < p.count; ++i) task(order[i]);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < p.count; ++i) {
    try {
      task(order[i]);
    } catch (const std::bad_alloc&) {
      // An exception must not cross the OpenMP region.
      __atomic_store_n(&out_of_memory, true, __ATOMIC_RELAXED);
    }
  }
  if (out_of_memory) throw std::bad_alloc();
}

std::int64_t square(int n) { return static_cast<std::int64_t>(n) * n; }

/// Floats of workspace before matrix j, of which one of n rows has `each(n)`.
template <class Params>
std::int64_t floats_before(const Params& p, int j, std::int64_t (*each)(int)) {
  std::int64_t floats = 0;
  for (int i = 0; i < j; ++i) floats += each(p.matrix[i].n);
  return floats;
}

void set_status(int* status, bool good) {
  if (status) *status = good ? 0 : 1;
}

/// Copies n rows; false if a value is not finite.
bool copy_finite(int n, const float* from, std::int64_t ld, float* to) {
  float sum = 0.0f;  // of zeros, or of NaNs
  for (int i = 0; i < n; ++i, from += ld, to += n) {
    float row = 0.0f;
#pragma omp simd reduction(+ : row)
    for (int k = 0; k < n; ++k) {
      row += from[k] - from[k];
      to[k] = from[k];
    }
    sum += row;
  }
  return sum == 0.0f;
}

// ---- inverse -----------------------------------------------------------------------------------

constexpr Index kPivots = 64;       // of a panel of a Cholesky factorisation
constexpr Index kInverseRows = 48;  // of A⁻¹ that are made at a time
static_assert(kPivots <= kPiece, "an operand of a product lies on the stack");

/// The lower triangle of a ← L, a = LLᵀ; false if a is not positive definite.
bool factorise(Block a) {
  const Index n = a.rows();
  for (Index p = 0; p < n; p += kPivots) {
    const Index columns = std::min(kPivots, n - p), next = p + columns, rest = n - next;
    Block pivots = a.block(p, p, columns, columns);
    if (Eigen::LLT<Block>(pivots).info() != Eigen::Success) return false;
    Block below = a.block(next, p, rest, columns);
    for_each_piece(rest, kPiece, [&](Index i, Index rows) {
      Block some = below.middleRows(i, rows);
      pivots.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(some);
    });
    for_each_piece(rest, kPiece, [&](Index j, Index across) {
      add_product<kSubtract>(a.block(next + j, next + j, rest - j, across),
                             below.middleRows(j, rest - j),
                             below.middleRows(j, across).transpose());
    });
  }
  return true;
}

/// L ← L⁻¹ for a small lower triangle, column by column from the last.
void invert_columns(Block l) {
  const Index n = l.rows();
  for (Index j = n - 1; j >= 0; --j) {
    const float d = 1.0f / l(j, j);
    l(j, j) = d;
    for (Index k = n - 1; k > j; --k) {
      const float scaled = -d * l(k, j);
      l(k, j) = scaled * l(k, k);
      for (Index i = k + 1; i < n; ++i) l(i, j) += scaled * l(i, k);
    }
  }
}

/// L ← L⁻¹, zeros above, panel by panel from the last: with L = [A 0; B C] and C⁻¹ in the place of
/// C, L⁻¹ = [A⁻¹ 0; −C⁻¹BA⁻¹ C⁻¹]. `scratch`: n·kPivots floats.
void invert_lower(Block l, float* scratch) {
  const Index n = l.rows();
  for (Index p = (n - 1) / kPivots * kPivots; p >= 0; p -= kPivots) {
    const Index columns = std::min(kPivots, n - p), next = p + columns, rest = n - next;
    Block a = l.block(p, p, columns, columns), b = l.block(next, p, rest, columns);
    Eigen::Map<Matrix> product(scratch, rest, columns);
    product.setZero();
    for_each_piece(rest, kPiece, [&](Index i, Index rows) {
      Block some = product.middleRows(i, rows);
      add_product<kSubtract>(some, l.block(next + i, next, rows, i + rows), b.topRows(i + rows));
      a.triangularView<Eigen::Lower>().solveInPlace<Eigen::OnTheRight>(some);
    });
    b = product;
    invert_columns(a);
  }
}

/// out = WᵀW for a lower triangle W, both triangles.
void multiply_transposed(const Eigen::Map<Matrix>& w, RowMajor out) {
  const Index n = w.rows();
  for_each_piece(n, kInverseRows, [&](Index i, Index rows) {
    // Row-major memory of rows × columns is column-major memory of its transpose.
    Eigen::Map<Matrix, 0, Eigen::OuterStride<>> transposed(out.data() + i * out.outerStride(),
                                                           i + rows, rows, out.outerStride());
    transposed.setZero();
    add_product<kAdd>(transposed, w.block(i, 0, n - i, i + rows).transpose(),
                      w.block(i, i, n - i, rows));
  });
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) out(i, j) = out(j, i);
}

/// Floats of the matrix and of what inverting takes.
std::int64_t inverse_workspace(int n) { return square(n) + n * kPivots; }

bool invert(const SpdMatrix& m, float relative, float absolute, float* workspace) {
  if (!copy_finite(m.n, m.a, m.lda, workspace)) return false;
  Eigen::Map<Matrix> a(workspace, m.n, m.n);
  const double mean = a.diagonal().cast<double>().sum() / std::max(1, m.n);
  a.diagonal().array() += static_cast<float>(absolute + relative * mean);
  if (!a.diagonal().allFinite()) return false;
  if (!factorise(a) || !a.diagonal().allFinite()) return false;
  a.triangularView<Eigen::StrictlyUpper>().setZero();
  invert_lower(a, workspace + square(m.n));
  multiply_transposed(a, RowMajor(m.inverse, m.n, m.n, Eigen::OuterStride<>(m.ld_inverse)));
  return true;
}

// ---- orthonormal basis -------------------------------------------------------------------------

/// Floats of the matrix, of Q and of what factorising takes.
std::int64_t basis_workspace(int n) { return 2 * square(n) + qr_workspace(n); }

bool orthonormalise(const BasisMatrix& m, float* workspace) {
  if (!copy_finite(m.n, m.m, m.ldm, workspace)) return false;
  Eigen::Map<Matrix> a(workspace, m.n, m.n);
  a.transposeInPlace();
  Eigen::Map<Matrix> q(workspace + square(m.n), m.n, m.n);
  Qr(a, workspace + 2 * square(m.n)).make_q(q);
  if (!q.allFinite()) return false;
  for (Eigen::Index j = 0; j < m.n; ++j)
    if (a(j, j) < 0.0f) q.col(j) = -q.col(j);
  RowMajor(m.q, m.n, m.n, Eigen::OuterStride<>(m.ldq)) = q;
  return true;
}

// ---- eigenvectors ------------------------------------------------------------------------------

bool decompose(const EigenMatrix& m, float* workspace) {
  if (!copy_finite(m.n, m.a, m.lda, workspace)) return false;
  if (m.n == 0) return true;
  const Eigen::Map<Matrix> a(workspace, m.n, m.n);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(a);
  const Matrix& v = solver.eigenvectors();
  if (solver.info() != Eigen::Success || !v.allFinite()) return false;
  Eigen::Map<Eigen::VectorXf>(m.values, m.n) = solver.eigenvalues();
  RowMajor vectors(m.vectors, m.n, m.n, Eigen::OuterStride<>(m.ld_vectors));
  // Some n rotations went over every vector, and their rounding changes lengths in one direction:
  // by 1e-4 at n = 1000 before this.
  for (Eigen::Index k = 0; k < m.n; ++k)
    vectors.col(k) = v.col(k) * static_cast<float>(1.0 / v.col(k).cast<double>().norm());
  return true;
}

}  // namespace

std::int64_t inverse_spd_workspace(const InverseSpd& p) {
  return floats_before(p, p.count, inverse_workspace);
}

void inverse_spd(StreamHandle, const InverseSpd& p) {
  const float relative = p.damping ? p.damping[0] : p.relative;
  const float absolute = p.damping ? p.damping[1] : p.absolute;
  for_each_matrix(p, [&](int j) {
    const SpdMatrix& m = p.matrix[j];
    float* workspace = p.workspace + floats_before(p, j, inverse_workspace);
    set_status(m.status, invert(m, relative, absolute, workspace));
  });
}

std::int64_t orthonormal_basis_workspace(const OrthonormalBasis& p) {
  return floats_before(p, p.count, basis_workspace);
}

void orthonormal_basis(StreamHandle, const OrthonormalBasis& p) {
  for_each_matrix(p, [&](int j) {
    const BasisMatrix& m = p.matrix[j];
    set_status(m.status, orthonormalise(m, p.workspace + floats_before(p, j, basis_workspace)));
  });
}

std::int64_t symmetric_eigen_workspace(const SymmetricEigen& p) {
  return floats_before(p, p.count, square);
}

void symmetric_eigen(StreamHandle, const SymmetricEigen& p) {
  for_each_matrix(p, [&](int j) {
    const EigenMatrix& m = p.matrix[j];
    set_status(m.status, decompose(m, p.workspace + floats_before(p, j, square)));
  });
}

}  // namespace curvseg::CURVSEG_TARGET
