// Eigenvalues of small symmetric tridiagonal matrices, on the host in double.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace curvseg {

/// All eigenpairs, ascending. Element `row` of eigenvector `i` is at(row, i).
struct TridiagonalEigenpairs {
  std::vector<double> values;
  std::vector<double> vectors;  // column by column

  double at(std::size_t row, std::size_t i) const { return vectors[i * values.size() + row]; }
};

/// Of the matrix with this diagonal and, beside it, these: one fewer, or more, which are not read.
/// \pre the diagonal is not empty, all is finite
TridiagonalEigenpairs tridiagonal_eigenpairs(std::span<const double> diagonal,
                                             std::span<const double> beside);

}  // namespace curvseg
