#include "curvseg/spectrum.hpp"

#include <algorithm>
#include <cmath>

#include "host/solvers/lanczos_process.hpp"
#include "host/solvers/quadrature.hpp"
#include "host/solvers/sample_mean.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr const char* kName = "measure_spectrum";

void check_options(std::int64_t size, const SpectrumOptions& options) {
  if (size < 0) refuse(kName, "the size is " + std::to_string(size));
  if (options.eigenvalues < 1 || options.steps < 1 || options.probes < 1 ||
      options.trace_probes < 1 || options.points < 2)
    refuse(kName, std::to_string(options.eigenvalues) + " eigenvalues, " +
                      std::to_string(options.probes) + " probes of " +
                      std::to_string(options.steps) + " steps, " +
                      std::to_string(options.trace_probes) + " of the trace and " +
                      std::to_string(options.points) + " points; there must be 2 points and 1 " +
                      "of each of the others at least");
  if (!(options.sigma >= 0.0)) refuse(kName, "sigma is " + std::to_string(options.sigma));
  check_optional_vector(kName, "the mask", options.mask, size);
}

std::vector<VectorRange> checked(std::span<const VectorRange> ranges, std::int64_t size) {
  if (ranges.empty()) return {{"all", 0, size, size}};
  std::int64_t end = 0;
  for (const VectorRange& range : ranges) {
    if (range.offset < end || range.size < 0 || range.size > size - range.offset)
      refuse(kName, "range " + range.name + " is [" + std::to_string(range.offset) + ", " +
                        std::to_string(range.offset + range.size) + "), of vectors of " +
                        std::to_string(size) + " elements the ranges before it end at " +
                        std::to_string(end));
    if (range.parameters < 0 || range.parameters > range.size)
      refuse(kName, "range " + range.name + " has " + std::to_string(range.parameters) +
                        " parameters of " + std::to_string(range.size) + " elements");
    end = range.offset + range.size;
  }
  return {ranges.begin(), ranges.end()};
}

/// Samples zᵀA·z, split by ranges.
class TraceSamples {
 public:
  TraceSamples(const Stream& stream, std::span<const VectorRange> ranges, std::int64_t size,
               int probes)
      : stream_(stream),
        ranges_(ranges),
        probes_(probes),
        samples_(stream.device(), static_cast<std::int64_t>(ranges.size()) * probes),
        workspace_(stream.device(),
                   static_cast<std::int64_t>(dot_products_workspace(stream.device(), size, 1) /
                                             sizeof(float))) {}

  /// Sample `probe` of every range, from A·z.
  void record(int probe, ConstVectorView z, ConstVectorView az) const {
    for (std::size_t b = 0; b < ranges_.size(); ++b) {
      const VectorRange& r = ranges_[b];
      const VectorPair part{{z.data + r.offset, r.size}, {az.data + r.offset, r.size}};
      dot_products(stream_, {part}, {workspace_.data(), workspace_.bytes()},
                   samples_.data() + static_cast<std::int64_t>(b) * probes_ + probe);
    }
  }

  /// Waits. `scale[probe]` is what sample `probe` has to be multiplied by.
  void estimate(const std::vector<double>& scale, Spectrum& result) const {
    const std::vector<float> values = samples_.to_host(stream_);
    const auto probes = static_cast<std::size_t>(probes_);
    std::vector<double> part(probes), whole(probes, 0.0);
    for (std::size_t b = 0; b < ranges_.size(); ++b) {
      for (std::size_t i = 0; i < probes; ++i) {
        part[i] = scale[i] * static_cast<double>(values[b * probes + i]);
        whole[i] += part[i];
      }
      result.parts.push_back(sample_mean(std::span<const double>(part)));
    }
    result.trace = sample_mean(std::span<const double>(whole));
  }

 private:
  Stream stream_;
  std::span<const VectorRange> ranges_;
  int probes_;
  DeviceArray<float> samples_, workspace_;  // samples [ranges][probes]
};

void set_ends(const Quadrature& q, int eigenvalues, Spectrum& result) {
  const std::size_t all = q.nodes.size();
  const std::size_t count = std::min(all, static_cast<std::size_t>(eigenvalues));
  for (std::size_t i = 0; i < count; ++i) {
    result.smallest.push_back({q.nodes[i], q.residuals[i]});
    result.largest.push_back({q.nodes[all - 1 - i], q.residuals[all - 1 - i]});
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
  const std::vector<VectorRange> ranges = checked(given, size);
  Spectrum result;
  for (const VectorRange& range : ranges) result.dimension += range.parameters;
  const int steps = static_cast<int>(std::min<std::int64_t>(options.steps, result.dimension));
  result.parts.resize(steps == 0 ? ranges.size() : 0);
  if (steps == 0) return result;

  const int trace_probes = std::max(options.probes, options.trace_probes);
  const TraceSamples samples(stream, ranges, size, trace_probes);
  const LinearMap counted = [&](ConstVectorView v, VectorView product) {
    ++result.products;
    a(v, product);
  };
  LanczosProcess process(stream, kName, size, steps);
  for (int probe = 0; probe < options.probes; ++probe) {
    process.begin(0, options.seed, static_cast<std::uint64_t>(probe), options.mask);
    const LinearMap first = [&](ConstVectorView v, VectorView product) {
      counted(v, product);
      samples.record(probe, v, product);
    };
    process.step(first, 0);
    for (int j = 1; j < steps; ++j) process.step(counted, j);
    const Quadrature quadrature = read_quadrature(process, steps);
    if (probe == 0) set_ends(quadrature, options.eigenvalues, result);
    add_quadrature(quadrature, options.probes, result.density);
  }
  smooth(options.points, options.sigma, result.density);

  // Lanczos made its vectors of signs unit vectors.
  std::vector<double> scale(static_cast<std::size_t>(trace_probes), 1.0);
  std::fill_n(scale.begin(), options.probes, static_cast<double>(result.dimension));
  // Its memory serves the other probes.
  const VectorView z = process.basis().vector(0), az = process.basis().vector(1);
  for (int probe = options.probes; probe < trace_probes; ++probe) {
    random_signs(stream, options.seed, static_cast<std::uint64_t>(probe), options.mask, z);
    counted(z, az);
    samples.record(probe, z, az);
  }
  samples.estimate(scale, result);
  return result;
}

}  // namespace curvseg
