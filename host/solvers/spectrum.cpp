#include "curvseg/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/quadrature.hpp"
#include "host/solvers/trace_samples.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr const char* kMeasureSpectrum = "measure_spectrum";

void check_options(std::int64_t size, const SpectrumOptions& options) {
  if (size < 0) refuse(kMeasureSpectrum, "the size is " + std::to_string(size));
  if (options.eigenvalues < 1 || options.steps < 1 || options.runs < 1 || options.probes < 1 ||
      options.deflated < 0 || options.points < 2)
    refuse(kMeasureSpectrum,
           std::to_string(options.eigenvalues) + " eigenvalues, " + std::to_string(options.runs) +
               " runs of " + std::to_string(options.steps) + " steps, " +
               std::to_string(options.probes) + " probes, " + std::to_string(options.deflated) +
               " deflated and " + std::to_string(options.points) +
               " points; there must be 1, 1, 1, 1, 0 and 2 at least");
  if (!(options.sigma >= 0.0))
    refuse(kMeasureSpectrum, "sigma is " + std::to_string(options.sigma));
  check_optional_vector(kMeasureSpectrum, "the mask", options.mask, size);
}

std::vector<VectorRange> checked(std::span<const VectorRange> ranges, std::int64_t size,
                                 bool has_mask) {
  if (ranges.empty() && has_mask)
    refuse(kMeasureSpectrum,
           "there is a mask and no range: ranges tell how many elements are no padding");
  if (ranges.empty()) return {{"all", 0, size, size}};
  std::int64_t end = 0;
  for (const VectorRange& range : ranges) {
    if (range.offset < end || range.size < 0 || range.size > size - range.offset)
      refuse(kMeasureSpectrum, "range " + range.name + " is [" + std::to_string(range.offset) +
                                   ", " + std::to_string(range.offset + range.size) +
                                   "), of vectors of " + std::to_string(size) +
                                   " elements the ranges before it end at " + std::to_string(end));
    if (range.parameters < 0 || range.parameters > range.size)
      refuse(kMeasureSpectrum, "range " + range.name + " has " + std::to_string(range.parameters) +
                                   " parameters of " + std::to_string(range.size) + " elements");
    end = range.offset + range.size;
  }
  return {ranges.begin(), ranges.end()};
}

void set_ends(const Quadrature& q, int eigenvalues, Spectrum& result) {
  const std::vector<double>& values = q.pairs.values;
  const std::size_t all = values.size();
  // Products are in float: an eigenvalue is not known better, however far Lanczos went.
  const double rounding = std::numeric_limits<float>::epsilon() *
                          std::max(std::fabs(values.front()), std::fabs(values.back()));
  const auto pair = [&](std::size_t i) {
    return RitzValue{values[i], std::max(rounding, q.residual(i))};
  };
  for (std::size_t i = 0; i < std::min(all, static_cast<std::size_t>(eigenvalues)); ++i) {
    result.smallest.push_back(pair(i));
    result.largest.push_back(pair(all - 1 - i));
  }
}

/// Σ weight·f(node).
template <class F>
double mean(const SpectralDensity& density, F f) {
  double sum = 0.0;
  for (std::size_t j = 0; j < density.nodes.size(); ++j)
    sum += density.weights[j] * f(density.nodes[j]);
  return sum;
}

double negative_mean(const SpectralDensity& density) {
  return mean(density, [](double node) { return std::max(0.0, -node); });
}

}  // namespace

double Spectrum::norm() const {
  if (largest.empty()) return 0.0;
  return std::max(std::fabs(largest[0].value), std::fabs(smallest[0].value));
}

double Spectrum::mean_magnitude() const {
  if (dimension == 0) return 0.0;
  const double mean_value = trace.trace / static_cast<double>(dimension);
  // Two estimates may contradict each other by their errors; this much holds of any matrix.
  return std::max(std::fabs(mean_value), mean_value + 2.0 * negative_mean(density));
}

double Spectrum::condition_bound() const {
  const double magnitude = mean_magnitude();
  return magnitude > 0.0 ? norm() / magnitude : 0.0;
}

double Spectrum::effective_rank() const {
  const double largest_magnitude = norm();
  return largest_magnitude > 0.0
             ? static_cast<double>(dimension) * mean_magnitude() / largest_magnitude
             : 0.0;
}

double Spectrum::share_within(double bound) const {
  return mean(density, [bound](double node) { return std::fabs(node) <= bound ? 1.0 : 0.0; });
}

double Spectrum::share_below(double bound) const {
  return mean(density, [bound](double node) { return node < -bound ? 1.0 : 0.0; });
}

double Spectrum::negative_mass() const {
  const double all = mean(density, [](double node) { return std::fabs(node); });
  return all > 0.0 ? negative_mean(density) / all : 0.0;
}

Spectrum measure_spectrum(const Stream& stream, const LinearMap& a, std::int64_t size,
                          std::span<const VectorRange> given, const SpectrumOptions& options) {
  check_options(size, options);
  const std::vector<VectorRange> ranges = checked(given, size, options.mask.size > 0);
  Spectrum result;
  for (const VectorRange& range : ranges) result.dimension += range.parameters;
  const int steps = static_cast<int>(std::min<std::int64_t>(options.steps, result.dimension));
  if (steps == 0) {
    result.parts.resize(ranges.size());
    result.first_vector_parts.resize(ranges.size());
    return result;
  }

  const LinearMap counted = [&](ConstVectorView v, VectorView product) {
    ++result.products;
    a(v, product);
  };
  LanczosProcess process(stream, kMeasureSpectrum, size, steps);
  const auto run = [&](int index, const LinearMap& first) {
    process.begin(0, options.seed, static_cast<std::uint64_t>(index), options.mask);
    process.step(first, 0);
    for (int j = 1; j < steps; ++j) process.step(counted, j);
    Quadrature quadrature = read_quadrature(process, steps);
    add_quadrature(quadrature, options.runs, result.density);
    return quadrature;
  };
  const Quadrature first = run(0, counted);
  set_ends(first, options.eigenvalues, result);
  const KnownPart known(stream, size, process, first, options.deflated);
  result.first_vector_parts = known.parts_of_first(ranges);

  // Sample i is of random vector i + 1: the known part is not independent of vector 0.
  TraceSamples samples(stream, ranges, size, std::max(options.probes, options.runs - 1), known);
  int sample = 0;
  for (; sample < options.runs - 1; ++sample)
    run(sample + 1, [&](ConstVectorView v, VectorView product) {
      counted(v, product);
      samples.record(sample, static_cast<double>(result.dimension), v, product);
    });
  const VectorView z = process.basis().vector(0), az = process.basis().vector(1);
  for (; sample < options.probes; ++sample) {
    random_signs(stream, options.seed, static_cast<std::uint64_t>(sample) + 1, options.mask, z);
    counted(z, az);
    samples.record(sample, 1.0, z, az);
  }
  samples.estimate(result);
  smooth(options.points, options.sigma, result.density);
  return result;
}

}  // namespace curvseg
