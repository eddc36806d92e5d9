// What this folder puts into the table of kernels. Every target has a source of its own for it,
// kernels/exec/dense_*.
#pragma once

#include "dense/dense.hpp"
#include "exec/stream.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t inverse_spd_workspace(const InverseSpd&);
void inverse_spd(StreamHandle, const InverseSpd&);
std::int64_t orthonormal_basis_workspace(const OrthonormalBasis&);
void orthonormal_basis(StreamHandle, const OrthonormalBasis&);
std::int64_t symmetric_eigen_workspace(const SymmetricEigen&);
void symmetric_eigen(StreamHandle, const SymmetricEigen&);

}  // namespace curvseg::CURVSEG_TARGET
