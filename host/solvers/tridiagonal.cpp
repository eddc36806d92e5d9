#include "host/solvers/tridiagonal.hpp"

#include <Eigen/Eigenvalues>

namespace curvseg {

TridiagonalEigenpairs tridiagonal_eigenpairs(std::span<const double> diagonal,
                                             std::span<const double> beside) {
  const auto n = static_cast<Eigen::Index>(diagonal.size());
  const Eigen::VectorXd middle = Eigen::VectorXd::Map(diagonal.data(), n);
  const Eigen::VectorXd side = Eigen::VectorXd::Map(beside.data(), n - 1);
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  solver.computeFromTridiagonal(middle, side);
  const Eigen::VectorXd& values = solver.eigenvalues();
  const Eigen::MatrixXd& vectors = solver.eigenvectors();
  return {{values.data(), values.data() + n}, {vectors.data(), vectors.data() + n * n}};
}

}  // namespace curvseg
