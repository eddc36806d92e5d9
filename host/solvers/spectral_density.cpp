#include <algorithm>

#include "curvseg/solvers.hpp"
#include "host/solvers/quadrature.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr const char* kSpectralDensity = "spectral_density";

void check_options(std::int64_t size, const SpectralDensityOptions& options) {
  if (size < 0) refuse(kSpectralDensity, "the size is " + std::to_string(size));
  if (options.probes < 1 || options.steps < 1 || options.points < 2)
    refuse(kSpectralDensity, std::to_string(options.probes) + " probes of " +
                                 std::to_string(options.steps) + " steps and " +
                                 std::to_string(options.points) +
                                 " points; there must be 1, 1 and 2 at least");
  if (!(options.sigma >= 0.0))
    refuse(kSpectralDensity, "sigma is " + std::to_string(options.sigma));
  check_optional_vector(kSpectralDensity, "the mask", options.mask, size);
}

}  // namespace

SpectralDensity spectral_density(const Stream& stream, const LinearMap& a, std::int64_t size,
                                 const SpectralDensityOptions& options) {
  check_options(size, options);
  const int steps = static_cast<int>(std::min<std::int64_t>(options.steps, size));
  SpectralDensity result;
  if (steps == 0) return result;
  LanczosProcess process(stream, kSpectralDensity, size, steps);
  for (int probe = 0; probe < options.probes; ++probe) {
    process.begin(0, options.seed, static_cast<std::uint64_t>(probe), options.mask);
    for (int j = 0; j < steps; ++j) process.step(a, j);
    add_quadrature(read_quadrature(process, steps), options.probes, result);
  }
  smooth(options.points, options.sigma, result);
  return result;
}

}  // namespace curvseg
