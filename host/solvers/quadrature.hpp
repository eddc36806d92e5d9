// Gauss quadrature of a spectrum from the Lanczos process, and its smoothed density.
#pragma once

#include <vector>

#include "curvseg/solvers.hpp"
#include "host/solvers/lanczos_process.hpp"

namespace curvseg {

/// T's eigenvalues after some steps, ascending. Nodes and weights of vᵀf(A)v, v the unit vector
/// that the process began with; weights are squares of eigenvectors' first elements (Golub and
/// Welsch, Math. Comp. 23, 1969). Residuals are β·|last element|.
struct Quadrature {
  std::vector<double> nodes, weights, residuals;
};

/// Of a process that made `steps` steps from one vector; waits for it. An invariant subspace ends
/// T: the quadrature is exact then.
Quadrature read_quadrature(LanczosProcess& process, int steps);

/// Appends a quadrature, one of `probes`.
void add_quadrature(const Quadrature& quadrature, int probes, SpectralDensity& result);

/// Sets sigma, grid and density from the nodes and weights. \pre there is a node
void smooth(int points, double sigma, SpectralDensity& result);

}  // namespace curvseg
