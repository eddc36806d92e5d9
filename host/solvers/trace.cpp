#include <span>

#include "curvseg/solvers.hpp"
#include "host/solvers/sample_mean.hpp"
#include "host/solvers/vector_basis.hpp"
#include "host/solvers/vector_ops.hpp"

namespace curvseg {
namespace {

DeviceArray<float> dot_workspace(const Device& device, std::int64_t size) {
  return {device,
          static_cast<std::int64_t>(dot_products_workspace(device, size, 1) / sizeof(float))};
}

}  // namespace

Hutchinson::Hutchinson(const Stream& stream, std::int64_t size, int max_probes)
    : stream_(stream), size_(size), max_probes_(max_probes) {
  if (size < 0 || max_probes < 1)
    refuse("Hutchinson", "the size is " + std::to_string(size) + " and there are " +
                             std::to_string(max_probes) + " probes at most");
  const Device device = stream.device();
  probe_ = {device, size};
  product_ = {device, size};
  samples_ = {device, max_probes};
  workspace_ = dot_workspace(device, size);
}

void Hutchinson::check(const char* what, const ProbeOptions& options) const {
  if (options.probes < 1)
    refuse(what, "there are " + std::to_string(options.probes) + " probes, one is needed");
  check_optional_vector(what, "the mask", options.mask, size_);
}

/// product ← A·z, z the probe.
void Hutchinson::multiply_probe(const LinearMap& a, const ProbeOptions& options, int probe) {
  random_signs(stream_, options.seed, static_cast<std::uint64_t>(probe), options.mask,
               {probe_.data(), size_});
  a({probe_.data(), size_}, {product_.data(), size_});
}

TraceEstimate Hutchinson::trace(const LinearMap& a, const ProbeOptions& options) {
  check("hutchinson_trace", options);
  if (options.probes > max_probes_)
    refuse("hutchinson_trace", "there are " + std::to_string(options.probes) +
                                   " probes, memory is for " + std::to_string(max_probes_));
  for (int probe = 0; probe < options.probes; ++probe) {
    multiply_probe(a, options, probe);
    dot_products(stream_, {{{probe_.data(), size_}, {product_.data(), size_}}},
                 {workspace_.data(), workspace_.bytes()}, samples_.data() + probe);
  }
  const std::vector<float> samples = samples_.to_host(stream_);
  return sample_mean(std::span(samples).first(static_cast<std::size_t>(options.probes)));
}

void Hutchinson::diagonal(const LinearMap& a, const ProbeOptions& options, VectorView diagonal) {
  check("hutchinson_diagonal", options);
  if (diagonal.size != size_)
    refuse("hutchinson_diagonal", "the diagonal has " + std::to_string(diagonal.size) +
                                      " elements, vectors have " + std::to_string(size_));
  const float share = 1.0f / static_cast<float>(options.probes);
  for (int probe = 0; probe < options.probes; ++probe) {
    multiply_probe(a, options, probe);
    multiply(stream_, {probe_.data(), size_}, {product_.data(), size_}, share,
             /*accumulate=*/probe > 0, diagonal);
  }
}

std::size_t Hutchinson::memory_bytes() const {
  return probe_.bytes() + product_.bytes() + samples_.bytes() + workspace_.bytes();
}

TraceEstimate hutchinson_trace(const Stream& stream, const LinearMap& a, std::int64_t size,
                               const ProbeOptions& options) {
  return Hutchinson(stream, size, options.probes > 0 ? options.probes : 1).trace(a, options);
}

void hutchinson_diagonal(const Stream& stream, const LinearMap& a, const ProbeOptions& options,
                         VectorView diagonal) {
  Hutchinson hutchinson(stream, diagonal.size, 1);
  hutchinson.diagonal(a, options, diagonal);
  stream.synchronise();  // its memory goes
}

TraceEstimate hutch_plus_plus_trace(const Stream& stream, const LinearMap& a, std::int64_t size,
                                    const HutchPlusPlusOptions& options) {
  constexpr const char* kName = "hutch_plus_plus_trace";
  if (size < 0) refuse(kName, "the size is " + std::to_string(size));
  if (options.products < 3)
    refuse(kName, "there are " + std::to_string(options.products) + " products, 3 are needed");
  check_optional_vector(kName, "the mask", options.mask, size);
  const Device device = stream.device();
  const int sketch = options.products / 3, rest = options.products - 2 * sketch;
  VectorBasis basis(stream, size, sketch);
  const DeviceArray<float> probe_memory(device, size), product_memory(device, size);
  const DeviceArray<float> samples(device, sketch + rest), scratch = dot_workspace(device, size);
  const VectorView probe{probe_memory.data(), size}, product{product_memory.data(), size};
  const auto sample = [&](VectorView v, int index) {
    a(v, product);
    dot_products(stream, {{v, product}}, {scratch.data(), scratch.bytes()}, samples.data() + index);
  };
  for (int j = 0; j < sketch; ++j) {
    random_signs(stream, options.seed, static_cast<std::uint64_t>(j), options.mask, probe);
    a(probe, basis.vector(j));
  }
  for (int j = 0; j < sketch; ++j) basis.orthonormalise(j, nullptr);
  for (int j = 0; j < sketch; ++j) sample(basis.vector(j), j);
  for (int j = 0; j < rest; ++j) {
    const int index = sketch + j;  // of all probes, so that none comes twice
    random_signs(stream, options.seed, static_cast<std::uint64_t>(index), options.mask, probe);
    basis.project_out(probe, sketch);
    sample(probe, index);
  }
  const std::vector<float> values = samples.to_host(stream);
  TraceEstimate result = sample_mean(std::span(values).subspan(static_cast<std::size_t>(sketch)));
  for (int j = 0; j < sketch; ++j) result.trace += static_cast<double>(values[std::size_t(j)]);
  result.products = options.products;
  return result;
}

}  // namespace curvseg
