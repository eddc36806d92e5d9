#include "host/optim/input_factors.hpp"

#include <algorithm>
#include <span>
#include <string>

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

/// The same of a dense layer, of whose weights every image is one use: beyond so many inputs a
/// layer behind an image shares factors over channels between pixels.
constexpr int kMostDenseInputs = 512;

/// With fewer channels than this a factor over them would tell next to nothing.
constexpr int kLeastSharedChannels = 16;

/// Beyond so many channels there is a factor for each group of them: a use of a layer costs a
/// multiplication a weight, its factor n of them, and at the deep end of wide networks there are
/// many channels and few pixels.
constexpr int kMostSharedChannels = 256;

/// Calls f(first, count) for runs of as many matrices as a call may have.
template <class F>
void for_each_batch(std::size_t all, const F& f) {
  constexpr std::size_t kMost = kLargestMatrixBatch;
  for (std::size_t first = 0; first < all; first += kMost) f(first, std::min(kMost, all - first));
}

const Node& node_of(const Model& model, const LayerMatrix& layer) {
  return model.nodes()[static_cast<std::size_t>(layer.node)];
}

/// What of a layer has a factor of its own: these inputs of every tap, or its whole patch.
struct Part {
  LayerMatrix layer;  // of a dense layer that shares factors, pixels as taps
  ChannelGroup inputs;
  bool whole_patch = false;
};

std::vector<Part> parts_of(const Model& model, LayerMatrix layer) {
  const Node& node = node_of(model, layer);
  const int most = node.flatten ? kMostDenseInputs : kMostPatchInputs - 1;
  if (!layer.transposed && layer.rows() <= most) return {{layer, {0, layer.in}, true}};
  const int channels = model.nodes()[static_cast<std::size_t>(node.inputs[0])].channels;
  if (node.flatten && channels >= kLeastSharedChannels) {
    layer.taps = layer.in / channels;
    layer.in = channels;
  }
  std::vector<Part> parts;
  for (const ChannelGroup& inputs : channel_groups(layer.in, kMostSharedChannels))
    parts.push_back({layer, inputs});
  return parts;
}

/// x of these channels; behind an image that a dense layer reads as one pixel, the image's pixels.
ConstTensorView inputs_of(ConstTensorView x, const LayerMatrix& layer, const ChannelGroup& inputs) {
  if (layer.taps > 1 && x.shape.c == layer.taps * layer.in) {
    x.shape = {x.shape.n, 1, layer.taps, layer.in};
    x.ld = layer.in;
  }
  x.data += inputs.first;
  x.shape.c = inputs.count;
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
    for (const Part& part : parts_of(model, layer))
      add_factor(stream, part.layer, part.inputs, part.whole_patch);
  allocate_scratch(stream);
}

void InputFactors::add_factor(const Stream& stream, const LayerMatrix& layer,
                              const ChannelGroup& inputs, bool whole_patch) {
  Factor f;
  f.layer = layer;
  f.inputs = inputs;
  f.whole_patch = whole_patch;
  f.has_bias = f.whole_patch && layer.bias >= 0;
  f.n = f.whole_patch ? layer.rows() + (f.has_bias ? 1 : 0) : inputs.count;
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
  const ConstTensorView x = inputs_of(loss.layer_input(f.layer.node), f.layer, f.inputs);
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
    const int rows = layer.rows();
    multiply(stream, ConstMatrixView(from + f.inputs.first, rows, f.n, layer.in), inverse, {},
             workspace(), MatrixView(to + f.inputs.first, rows, f.n, layer.in));
    return;
  }
  if (!f.contiguous) {
    stage(stream, layer, m, staged_m_);
    from = staged_m_.data();
    to = staged_d_.data();
  }
  const int blocks = f.whole_patch ? 1 : layer.taps;
  for (int tap = 0; tap < blocks; ++tap) {
    const std::int64_t row = static_cast<std::int64_t>(tap) * layer.in + f.inputs.first;
    multiply(stream, inverse, ConstMatrixView{from + row * layer.out, f.n, layer.out}, {},
             workspace(), {to + row * layer.out, f.n, layer.out});
  }
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
    std::string name = "input_factors." + f.layer.name;
    if (f.inputs.first > 0) name += " from input " + std::to_string(f.inputs.first);
    state.tensors.push_back({name + ".mean", view(f.mean), shape});
    state.tensors.push_back({name + ".inverse", view(f.inverse), shape});
  }
}

std::size_t InputFactors::bytes() const {
  std::size_t result = rows_.bytes() + staged_m_.bytes() + staged_d_.bytes() + workspace_.bytes();
  for (const Factor& f : factors_) result += f.mean.bytes() + f.inverse.bytes();
  return result;
}

}  // namespace curvseg
