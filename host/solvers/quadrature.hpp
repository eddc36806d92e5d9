// Gauss quadrature of a spectrum from the Lanczos process, and its smoothed density.
#pragma once

#include <vector>

#include "curvseg/solvers.hpp"
#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/tridiagonal.hpp"

namespace curvseg {

/// T's eigenpairs after some steps. The eigenvalues are nodes of a quadrature of vᵀf(A)v, v the
/// unit vector that the process began with, and the squares of the vectors' first elements its
/// weights (Golub and Welsch, Math. Comp. 23, 1969).
struct Quadrature {
  TridiagonalEigenpairs pairs;
  double beta = 0.0;  ///< beside the last column

  double weight(std::size_t i) const { return pairs.at(0, i) * pairs.at(0, i); }
  /// ‖A·y − node·y‖, y the vector that belongs to node `i`.
  double residual(std::size_t i) const;
};

/// Of a process that made `steps` steps from one vector; waits for it. An invariant subspace ends
/// T: the quadrature is exact then.
Quadrature read_quadrature(LanczosProcess& process, int steps);

/// Appends a quadrature, one of `probes`.
void add_quadrature(const Quadrature& quadrature, int probes, SpectralDensity& result);

/// Sets sigma, grid and density from the nodes and weights. \pre there is a node
void smooth(int points, double sigma, SpectralDensity& result);

}  // namespace curvseg
