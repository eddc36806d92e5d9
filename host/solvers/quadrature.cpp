#include "host/solvers/quadrature.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace curvseg {

double Quadrature::residual(std::size_t i) const {
  return std::fabs(beta * pairs.at(pairs.values.size() - 1, i));
}

Quadrature read_quadrature(LanczosProcess& process, int steps) {
  process.read(0, steps);
  const auto beside = process.beside(steps);
  const auto end = std::find(beside.begin(), beside.end(), 0.0);
  const int used = std::min(steps, static_cast<int>(end - beside.begin()) + 1);
  return {tridiagonal_eigenpairs(process.diagonal(used), process.beside(used - 1)),
          beside[static_cast<std::size_t>(used) - 1]};
}

void add_quadrature(const Quadrature& quadrature, int probes, SpectralDensity& result) {
  for (std::size_t i = 0; i < quadrature.pairs.values.size(); ++i) {
    result.nodes.push_back(quadrature.pairs.values[i]);
    result.weights.push_back(quadrature.weight(i) / probes);
  }
}

void smooth(int points, double sigma, SpectralDensity& result) {
  const auto [low, high] = std::minmax_element(result.nodes.begin(), result.nodes.end());
  const double range = *high - *low;
  // A single node has no range: its own size serves, or 1 where that is 0 as well.
  const double scale = range > 0.0 ? range : *high != 0.0 ? std::fabs(*high) : 1.0;
  if (!(sigma > 0.0)) sigma = 0.01 * scale;
  const double first = *low - 4.0 * sigma, length = range + 8.0 * sigma;
  result.sigma = sigma;
  for (int i = 0; i < points; ++i) {
    const double at = first + length * i / (points - 1);
    double sum = 0.0;
    for (std::size_t j = 0; j < result.nodes.size(); ++j) {
      const double distance = (at - result.nodes[j]) / sigma;
      sum += result.weights[j] * std::exp(-0.5 * distance * distance);
    }
    result.grid.push_back(at);
    result.density.push_back(sum / (sigma * std::sqrt(2.0 * std::numbers::pi)));
  }
}

}  // namespace curvseg
