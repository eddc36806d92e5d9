// Factorisations of small dense matrices, several of different sizes in a call. Plain C++.
//
// Matrices are row-major: element (i, j) of a is a[i·lda + j]. A matrix that is said to be
// symmetric is read whole for values that are not finite; for the rest one triangle stands for
// both. How each target computes: docs/design/0002-dense-factorisations.md.
//
// `status` (device memory, may be nullptr) is set to 0, or to 1 if the input has a value that is
// not finite or the factorisation fails; the outputs are then left as they were.
#pragma once

#include <cstdint>

namespace curvseg {

inline constexpr int kDenseBatch = 32;  // matrices of a call: parameters are passed by value

/// n x n; `inverse` may be `a`.
struct SpdMatrix {
  int n = 0;
  const float* a = nullptr;
  std::int64_t lda = 0;
  float* inverse = nullptr;
  std::int64_t ld_inverse = 0;
  int* status = nullptr;
};

/// inverse_j = (A_j + (absolute + relative · trace(A_j) / n_j) · I)⁻¹, both triangles, for j below
/// `count` ≤ kDenseBatch. A_j is symmetric; it fails unless the damped matrix is positive definite.
/// By A = LLᵀ and A⁻¹ = L⁻ᵀL⁻¹. Overwrites.
struct InverseSpd {
  int count = 0;
  SpdMatrix matrix[kDenseBatch];
  float relative = 0.0f, absolute = 0.0f;
  const float* damping = nullptr;  // device: {relative, absolute} in place of the two above
  float* workspace = nullptr;      // inverse_spd_workspace() floats
};

/// n x n; `q` may be `m`.
struct BasisMatrix {
  int n = 0;
  const float* m = nullptr;
  std::int64_t ldm = 0;
  float* q = nullptr;
  std::int64_t ldq = 0;
  int* status = nullptr;
};

/// q_j = the Q of M_j = QR, QᵀQ = I, R upper triangular with a diagonal ≥ 0: unique for a regular
/// M_j. By Householder reflections. Overwrites.
struct OrthonormalBasis {
  int count = 0;
  BasisMatrix matrix[kDenseBatch];
  float* workspace = nullptr;  // orthonormal_basis_workspace() floats
};

/// n x n; `vectors` may be `a`.
struct EigenMatrix {
  int n = 0;
  const float* a = nullptr;
  std::int64_t lda = 0;
  float* values = nullptr;  // [n], ascending
  float* vectors = nullptr;
  std::int64_t ld_vectors = 0;
  int* status = nullptr;
};

/// A_j = V diag(values) Vᵀ for a symmetric A_j. Column k of V is the eigenvector of values[k], of
/// length 1 and either sign: its component i is vectors[i·ld_vectors + k]. Overwrites.
struct SymmetricEigen {
  int count = 0;
  EigenMatrix matrix[kDenseBatch];
  float* workspace = nullptr;  // symmetric_eigen_workspace() floats
};

}  // namespace curvseg
