#include "host/optim/input_factors.hpp"

#include <algorithm>
#include <span>

#include "curvseg/ops.hpp"
#include "host/nn/graph.hpp"
#include "host/ops/matrix.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

/// Beyond this many inputs the taps of a layer share a factor over its channels: the inverse costs
/// n³, and with it 81 times less for a 3x3 filter of as many rows.
constexpr int kMostPatchInputs = 2048;

/// The same of a dense layer. Every image is one use of its weights, so a factor of all its inputs
/// soon costs more than all else in a step: beyond so many of them a layer behind an image shares a
/// factor over channels between pixels, and any other has one for so many inputs at a time.
constexpr int kMostDenseInputs = 512;

/// With fewer channels than this a factor over them would tell next to nothing.
constexpr int kLeastSharedChannels = 16;

/// Calls f(first, count) for runs of as many matrices as a call may have.
template <class F>
void for_each_batch(std::size_t all, const F& f) {
  constexpr std::size_t kMost = kLargestMatrixBatch;
  for (std::size_t first = 0; first < all; first += kMost) f(first, std::min(kMost, all - first));
}

const Node& node_of(const Model& model, const LayerMatrix& layer) {
  return model.nodes()[static_cast<std::size_t>(layer.node)];
}

/// Inputs [first, first + rows.in) of a layer, of each of its taps.
struct Part {
  LayerMatrix rows;
  int first = 0;
  bool is_layer = true;  // else some of its inputs, or pixels as taps
};

/// Those of a layer that have a factor of their own.
std::vector<Part> parts_of(const Model& model, LayerMatrix layer) {
  const Node& node = node_of(model, layer);
  if (!node.flatten || layer.in <= kMostDenseInputs) return {{layer}};
  const int channels = model.nodes()[static_cast<std::size_t>(node.inputs[0])].channels;
  if (channels >= kLeastSharedChannels && channels <= kMostDenseInputs) {
    layer.taps = layer.in / channels;
    layer.in = channels;
    return {{layer, 0, false}};
  }
  std::vector<Part> parts;
  for (int first = 0; first < layer.in; first += kMostDenseInputs) {
    Part part{layer, first, false};
    part.rows.in = std::min(kMostDenseInputs, layer.in - first);
    part.rows.weight += static_cast<std::int64_t>(first) * layer.out;
    if (first > 0) part.rows.name += " from input " + std::to_string(first);
    parts.push_back(part);
  }
  return parts;
}

/// x of these channels; behind an image that a dense layer reads as one pixel, the image's pixels.
ConstTensorView inputs_of(ConstTensorView x, const LayerMatrix& layer, int first) {
  if (layer.taps > 1 && x.shape.c == layer.taps * layer.in) {
    x.shape = {x.shape.n, 1, layer.taps, layer.in};
    x.ld = layer.in;
  }
  x.data += first;
  x.shape.c = layer.in;
  return x;
}

}  // namespace

InputFactors::InputFactors(const Stream& stream, const Model& model,
                           const InputFactorOptions& options)
    : options_(options),
      model_(model),
      draw_(stream.device()),
      weights_(zeroed_vector(stream, MeanWeights::kFloats)) {
  for (const LayerMatrix& layer : layer_matrices(model))
    for (const Part& part : parts_of(model, layer)) {
      const bool fits = part.is_layer && part.rows.rows() + 1 <= kMostPatchInputs;
      add_factor(stream, part.rows, part.first, fits && !layer.transposed);
    }
  allocate_scratch(stream);
}

void InputFactors::add_factor(const Stream& stream, const LayerMatrix& layer, int first,
                              bool whole_patch) {
  Factor f;
  f.layer = layer;
  f.first = first;
  f.whole_patch = whole_patch;
  f.has_bias = f.whole_patch && layer.bias >= 0;
  f.n = f.whole_patch ? layer.rows() + (f.has_bias ? 1 : 0) : layer.in;
  const std::int64_t elements = static_cast<std::int64_t>(f.n) * f.n;
  f.mean = zeroed_vector(stream, elements);
  f.inverse = zeroed_vector(stream, elements);
  f.contiguous = !f.has_bias || layer.bias == layer.weight + layer.elements();
  inversions_.push_back({{f.mean.data(), f.n, f.n}, {f.inverse.data(), f.n, f.n}});
  factors_.push_back(std::move(f));
}

void InputFactors::allocate_scratch(const Stream& stream) {
  const Device& device = stream.device();
  std::int64_t rows = 0, staged = 0;
  std::size_t bytes = 0;
  std::vector<int> sizes;
  for (const Factor& f : factors_) {
    sizes.push_back(f.n);
    rows = std::max(rows, static_cast<std::int64_t>(options_.positions) * f.n);
    if (!f.contiguous) staged = std::max(staged, f.layer.elements() + f.layer.out);
    bytes = std::max({bytes, multiply_at_b_workspace(device, f.n, options_.positions, f.n),
                      f.layer.transposed ? multiply_workspace(device, f.layer.rows(), f.n, f.n)
                                         : multiply_workspace(device, f.n, f.n, f.layer.out)});
  }
  for_each_batch(factors_.size(), [&](std::size_t first, std::size_t count) {
    bytes = std::max(bytes, inverse_spd_workspace(device, std::span(sizes).subspan(first, count)));
  });
  rows_ = DeviceArray<float>(device, rows);
  staged_m_ = DeviceArray<float>(device, staged);
  staged_d_ = DeviceArray<float>(device, staged);
  workspace_ = DeviceArray<float>(device, static_cast<std::int64_t>(bytes / sizeof(float)));
}

void InputFactors::observe(const Stream& stream, const BatchLoss& loss, std::uint64_t draw,
                           const float* accepted) {
  draw_.set(stream, {0, draw});
  AdvanceMean p;
  p.accepted = accepted;
  p.weights = weights();
  p.decay = options_.decay;
  {
    const CurrentDevice current(stream.device());
    stream.device().target().kernels->advance_mean(stream.native(), p);
  }
  for (std::size_t i = 0; i < factors_.size(); ++i) observe(stream, loss, i);
}

void InputFactors::observe(const Stream& stream, const BatchLoss& loss, std::size_t i) {
  const Factor& f = factors_[i];
  const Node& node = node_of(model_, f.layer);
  const ConstTensorView x = inputs_of(loss.layer_input(f.layer.node), f.layer, f.first);
  GatherPatchesOptions options;
  if (f.whole_patch) options.geometry = node.geometry;
  options.append_one = f.has_bias;
  options.stream = static_cast<std::uint32_t>(i);
  options.scale = &weights()->root_take;
  const MatrixView rows{rows_.data(), options_.positions, f.n};
  gather_patches(stream, x, f.whole_patch ? node.r : 1, f.whole_patch ? node.s : 1, options,
                 reinterpret_cast<const std::uint64_t*>(draw_.device()), rows);
  const VectorView mean = view(f.mean);
  linear_combination(stream, {{mean, 1.0f, &weights()->keep}}, mean);
  multiply_at_b(stream, rows, rows, {.accumulate = true}, workspace(), {f.mean.data(), f.n, f.n});
}

void InputFactors::invert(const Stream& stream) {
  for_each_batch(factors_.size(), [&](std::size_t first, std::size_t count) {
    inverse_spd(stream, std::span(inversions_).subspan(first, count),
                {.relative = options_.damping}, workspace());
  });
}

void InputFactors::apply(const Stream& stream, ConstVectorView m, VectorView d) {
  linear_combination(stream, {{m}}, d);  // what belongs to no factor
  for (const Factor& factor : factors_) apply(stream, factor, m, d);
}

void InputFactors::apply(const Stream& stream, const Factor& f, ConstVectorView m, VectorView d) {
  const LayerMatrix& layer = f.layer;
  const ConstMatrixView inverse{f.inverse.data(), f.n, f.n};
  const float* from = m.data + layer.weight;
  float* to = d.data + layer.weight;
  if (layer.transposed) {
    multiply(stream, ConstMatrixView{from, layer.rows(), f.n}, inverse, {}, workspace(),
             {to, layer.rows(), f.n});
    return;
  }
  const int blocks = f.whole_patch ? 1 : layer.taps;
  const std::int64_t block = static_cast<std::int64_t>(f.n) * layer.out;
  if (!f.contiguous) {
    stage(stream, layer, m, staged_m_);
    from = staged_m_.data();
    to = staged_d_.data();
  }
  for (int i = 0; i < blocks; ++i)
    multiply(stream, inverse, ConstMatrixView{from + i * block, f.n, layer.out}, {}, workspace(),
             {to + i * block, f.n, layer.out});
  if (!f.contiguous) unstage(stream, layer, staged_d_, d);
}

void InputFactors::stage(const Stream& stream, const LayerMatrix& layer, ConstVectorView from,
                         const DeviceArray<float>& to) {
  linear_combination(stream, {{{from.data + layer.weight, layer.elements()}}},
                     {to.data(), layer.elements()});
  linear_combination(stream, {{{from.data + layer.bias, layer.out}}},
                     {to.data() + layer.elements(), layer.out});
}

void InputFactors::unstage(const Stream& stream, const LayerMatrix& layer,
                           const DeviceArray<float>& from, VectorView to) {
  linear_combination(stream, {{{from.data(), layer.elements()}}},
                     {to.data + layer.weight, layer.elements()});
  linear_combination(stream, {{{from.data() + layer.elements(), layer.out}}},
                     {to.data + layer.bias, layer.out});
}

void InputFactors::append_state(OptimizerState& state) {
  state.tensors.push_back({"input_factors.weights", view(weights_), {MeanWeights::kFloats}});
  for (Factor& f : factors_) {
    const std::vector<std::int64_t> shape{f.n, f.n};
    state.tensors.push_back({"input_factors." + f.layer.name + ".mean", view(f.mean), shape});
    state.tensors.push_back({"input_factors." + f.layer.name + ".inverse", view(f.inverse), shape});
  }
}

std::size_t InputFactors::bytes() const {
  std::size_t result = rows_.bytes() + staged_m_.bytes() + staged_d_.bytes() + workspace_.bytes();
  for (const Factor& f : factors_) result += f.mean.bytes() + f.inverse.bytes();
  return result;
}

}  // namespace curvseg
