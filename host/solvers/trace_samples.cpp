#include "host/solvers/trace_samples.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/solvers/sample_mean.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

constexpr std::size_t kMostPairs = 6;  // of dot_products()

DeviceArray<float> dot_workspace(const Device& device, std::int64_t size, int pairs) {
  return {device,
          static_cast<std::int64_t>(dot_products_workspace(device, size, pairs) / sizeof(float))};
}

VectorPair part(const VectorRange& r, ConstVectorView x, ConstVectorView y) {
  return {{x.data + r.offset, r.size}, {y.data + r.offset, r.size}};
}

}  // namespace

KnownPart::KnownPart(const Stream& stream, std::int64_t size, const LanczosProcess& process,
                     const Quadrature& quadrature, int count)
    : stream_(stream), size_(size) {
  const Device device = stream.device();
  const auto& values = quadrature.pairs.values;
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::fabs(values[a]) > std::fabs(values[b]);
  });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  vectors_ = {device, size * static_cast<std::int64_t>(order.size())};
  coefficients_ = {device, static_cast<std::int64_t>(order.size())};
  workspace_ = dot_workspace(device, size, static_cast<int>(kMostPairs));
  for (const std::size_t i : order) {
    const auto at = static_cast<std::int64_t>(values_.size()) * size;
    combine(stream, static_cast<int>(values.size()),
            [&](int j) {
              const double s = quadrature.pairs.at(static_cast<std::size_t>(j), i);
              return VectorTerm{process.basis().vector(j), static_cast<float>(s)};
            },
            {vectors_.data() + at, size});
    values_.push_back(values[i]);
  }
}

void KnownPart::subtract(ConstVectorView z, ConstVectorView az, VectorView to) const {
  std::vector<VectorPair> pairs;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    pairs.push_back({vector(i), z});
    if (pairs.size() < kMostPairs && i + 1 < values_.size()) continue;
    dot_products(stream_, pairs, {workspace_.data(), workspace_.bytes()},
                 coefficients_.data() + (i + 1 - pairs.size()));
    pairs.clear();
  }
  combine(
      stream_, static_cast<int>(values_.size()) + 1,
      [&](int j) {
        if (j == 0) return VectorTerm{az};
        const auto i = static_cast<std::size_t>(j) - 1;
        return VectorTerm{vector(i), static_cast<float>(-values_[i]), coefficients_.data() + i};
      },
      to);
}

/// ‖y_{i,B}‖² as [ranges][count].
std::vector<double> KnownPart::squares(std::size_t first, std::size_t count,
                                       std::span<const VectorRange> ranges) const {
  const DeviceArray<float> result(stream_.device(),
                                  static_cast<std::int64_t>(ranges.size() * count));
  float* to = result.data();
  for (const VectorRange& range : ranges)
    for (std::size_t i = first; i < first + count; ++i)
      dot_products(stream_, {part(range, vector(i), vector(i))},
                   {workspace_.data(), workspace_.bytes()}, to++);
  const std::vector<float> values = result.to_host(stream_);
  return {values.begin(), values.end()};
}

std::vector<double> KnownPart::traces(std::span<const VectorRange> ranges) const {
  const std::size_t count = values_.size();
  const std::vector<double> each = squares(0, count, ranges);
  std::vector<double> sums(ranges.size(), 0.0);
  for (std::size_t b = 0; b < ranges.size(); ++b)
    for (std::size_t i = 0; i < count; ++i) sums[b] += values_[i] * each[b * count + i];
  return sums;
}

std::vector<double> KnownPart::parts_of_first(std::span<const VectorRange> ranges) const {
  if (values_.empty()) return std::vector<double>(ranges.size(), 0.0);
  return squares(0, 1, ranges);
}

TraceSamples::TraceSamples(const Stream& stream, std::span<const VectorRange> ranges,
                           std::int64_t size, int probes, const KnownPart& known)
    : stream_(stream),
      ranges_(ranges),
      known_(known),
      scales_(static_cast<std::size_t>(probes), 0.0),
      rest_(stream.device(), size),
      samples_(stream.device(), static_cast<std::int64_t>(ranges.size()) * probes),
      workspace_(dot_workspace(stream.device(), size, 1)) {}

void TraceSamples::record(int probe, double scale, ConstVectorView z, ConstVectorView az) {
  known_.subtract(z, az, {rest_.data(), rest_.size()});
  const auto probes = static_cast<std::int64_t>(scales_.size());
  for (std::size_t b = 0; b < ranges_.size(); ++b)
    dot_products(stream_, {part(ranges_[b], z, {rest_.data(), rest_.size()})},
                 {workspace_.data(), workspace_.bytes()},
                 samples_.data() + static_cast<std::int64_t>(b) * probes + probe);
  scales_[static_cast<std::size_t>(probe)] = scale;
}

void TraceSamples::estimate(Spectrum& result) const {
  const std::vector<float> values = samples_.to_host(stream_);
  const std::vector<double> known = known_.traces(ranges_);
  const std::size_t probes = scales_.size();
  std::vector<double> of_range(probes), whole(probes, 0.0);
  for (std::size_t b = 0; b < ranges_.size(); ++b) {
    for (std::size_t i = 0; i < probes; ++i) {
      of_range[i] = known[b] + scales_[i] * static_cast<double>(values[b * probes + i]);
      whole[i] += of_range[i];
    }
    result.parts.push_back(sample_mean(std::span<const double>(of_range)));
  }
  result.trace = sample_mean(std::span<const double>(whole));
}

}  // namespace curvseg
