#include <algorithm>
#include <cmath>
#include <numbers>

#include "curvseg/solvers.hpp"
#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/tridiagonal.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr const char* kName = "spectral_density";

void check_options(std::int64_t size, const SpectralDensityOptions& options) {
  if (size < 0) refuse(kName, "the size is " + std::to_string(size));
  if (options.probes < 1 || options.steps < 1 || options.points < 2)
    refuse(kName, std::to_string(options.probes) + " probes of " + std::to_string(options.steps) +
                      " steps and " + std::to_string(options.points) +
                      " points; there must be 1, 1 and 2 at least");
  if (!(options.sigma >= 0.0)) refuse(kName, "sigma is " + std::to_string(options.sigma));
  check_optional_vector(kName, "the mask", options.mask, size);
}

/// The Gauss quadrature of one probe: nodes are T's eigenvalues, weights the squares of its
/// eigenvectors' first elements (Golub and Welsch, Math. Comp. 23, 1969).
void add_quadrature(LanczosProcess& process, int steps, int probes, SpectralDensity& result) {
  process.read(0, steps);
  const auto beside = process.beside(steps);
  // An invariant subspace ends T: the quadrature is exact then.
  const auto end = std::find(beside.begin(), beside.end(), 0.0);
  const int used = std::min(steps, static_cast<int>(end - beside.begin()) + 1);
  const auto pairs = tridiagonal_eigenpairs(process.diagonal(used), process.beside(used - 1));
  for (std::size_t i = 0; i < pairs.values.size(); ++i) {
    result.nodes.push_back(pairs.values[i]);
    result.weights.push_back(pairs.at(0, i) * pairs.at(0, i) / probes);
  }
}

void smooth(const SpectralDensityOptions& options, SpectralDensity& result) {
  const auto [low, high] = std::minmax_element(result.nodes.begin(), result.nodes.end());
  const double range = *high - *low;
  // A single node has no range: its own size serves, or 1 where that is 0 as well.
  const double scale = range > 0.0 ? range : *high != 0.0 ? std::fabs(*high) : 1.0;
  const double sigma = options.sigma > 0.0 ? options.sigma : 0.01 * scale;
  const double first = *low - 4.0 * sigma, length = range + 8.0 * sigma;
  result.sigma = sigma;
  for (int i = 0; i < options.points; ++i) {
    const double at = first + length * i / (options.points - 1);
    double sum = 0.0;
    for (std::size_t j = 0; j < result.nodes.size(); ++j) {
      const double distance = (at - result.nodes[j]) / sigma;
      sum += result.weights[j] * std::exp(-0.5 * distance * distance);
    }
    result.grid.push_back(at);
    result.density.push_back(sum / (sigma * std::sqrt(2.0 * std::numbers::pi)));
  }
}

}  // namespace

SpectralDensity spectral_density(const Stream& stream, const LinearMap& a, std::int64_t size,
                                 const SpectralDensityOptions& options) {
  check_options(size, options);
  const int steps = static_cast<int>(std::min<std::int64_t>(options.steps, size));
  SpectralDensity result;
  if (steps == 0) return result;
  LanczosProcess process(stream, kName, size, steps);
  for (int probe = 0; probe < options.probes; ++probe) {
    process.begin(0, options.seed, static_cast<std::uint64_t>(probe), options.mask);
    for (int j = 0; j < steps; ++j) process.step(a, j);
    add_quadrature(process, steps, options.probes, result);
  }
  smooth(options, result);
  return result;
}

}  // namespace curvseg
