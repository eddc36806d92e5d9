// A model with data, run by a Plan and by the double-precision reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "curvseg/model.hpp"
#include "host/nn/graph.hpp"
#include "reference/network.hpp"
#include "support/devices.hpp"
#include "support/random_data.hpp"

namespace curvseg::testing {

inline reference::Layer reference_layer(const Model& model, const Node& node) {
  using reference::LayerKind;
  static constexpr LayerKind kKinds[] = {
      LayerKind::kInput,   LayerKind::kConv,        LayerKind::kConvTranspose,
      LayerKind::kMaxPool, LayerKind::kAveragePool, LayerKind::kBilinear,
      LayerKind::kConcat,  LayerKind::kAdd,         LayerKind::kRelu};
  reference::Layer layer;
  layer.kind = kKinds[static_cast<int>(node.kind)];
  layer.inputs = node.inputs;
  layer.like = node.like;
  layer.channels = node.channels;
  const bool pool = node.kind == NodeKind::kMaxPool || node.kind == NodeKind::kAveragePool;
  layer.r = pool ? node.window.r : node.r;
  layer.s = pool ? node.window.s : node.s;
  layer.stride_h = pool ? node.window.stride_h : node.geometry.stride_h;
  layer.stride_w = pool ? node.window.stride_w : node.geometry.stride_w;
  layer.pad_h = pool ? node.window.pad_h : node.geometry.pad_h;
  layer.pad_w = pool ? node.window.pad_w : node.geometry.pad_w;
  layer.dilation = node.geometry.dilation_h;
  layer.relu = node.relu;
  layer.flatten = node.flatten;
  layer.count_include_pad = node.count_include_pad;
  const auto offset = [&](int i) {
    return i < 0 ? std::int64_t{-1} : model.parameters()[static_cast<std::size_t>(i)].offset;
  };
  layer.weight = offset(node.weight);
  layer.bias = offset(node.bias);
  return layer;
}

inline reference::Network reference_network(const Model& model) {
  reference::Network network;
  for (const Node& node : model.nodes()) network.layers.push_back(reference_layer(model, node));
  network.parameters = model.parameter_count();
  return network;
}

inline std::vector<double> to_double(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// Zero where no parameter lies, as theta is for ever.
inline void clear_padding(const Model& model, std::vector<float>& theta) {
  std::vector<bool> owned(theta.size(), false);
  for (const Parameter& p : model.parameters()) std::fill_n(owned.begin() + p.offset, p.size, true);
  for (std::size_t i = 0; i < theta.size(); ++i)
    if (!owned[i]) theta[i] = 0.0f;
}

struct NetworkData {
  std::vector<float> theta, x, dy;
};

inline std::size_t elements(const Shape& shape) {
  return static_cast<std::size_t>(shape.elements());
}

/// Real numbers at the scale of a freshly initialised network, biases included.
inline NetworkData real_data(const Model& model, const Shape& input, unsigned seed) {
  const Shape output = infer_shapes(model.nodes(), input).back();
  NetworkData data{uniform_floats(static_cast<std::size_t>(model.parameter_count()), seed),
                   uniform_floats(elements(input), seed + 1),
                   uniform_floats(elements(output), seed + 2)};
  for (const Parameter& p : model.parameters()) {
    const double scale =
        p.initialiser == Initialiser::kZero ? 0.2 : std::sqrt(6.0 / static_cast<double>(p.fan_in));
    for (std::int64_t i = p.offset; i < p.offset + p.size; ++i)
      data.theta[static_cast<std::size_t>(i)] *= static_cast<float>(scale);
  }
  clear_padding(model, data.theta);
  return data;
}

/// Whole numbers that stay small through many layers: weights in {−1, 0, 1}, about `terms` of each
/// output's not 0. Every sum is exact, so is every tie of a pooling and every 0 before a ReLU.
inline NetworkData whole_data(const Model& model, const Shape& input, unsigned seed,
                              unsigned terms = 4) {
  const Shape output = infer_shapes(model.nodes(), input).back();
  NetworkData data{small_integers(static_cast<std::size_t>(model.parameter_count()), seed, 1),
                   small_integers(elements(input), seed + 1, 3),
                   small_integers(elements(output), seed + 2, 2)};
  std::mt19937 engine(seed + 3);
  for (const Parameter& p : model.parameters()) {
    if (p.initialiser == Initialiser::kZero) continue;
    for (std::int64_t i = p.offset; i < p.offset + p.size; ++i) {
      const bool keep = engine() % static_cast<unsigned>(p.fan_in) < terms;
      data.theta[static_cast<std::size_t>(i)] = keep ? (engine() % 2 ? 1.0f : -1.0f) : 0.0f;
    }
  }
  clear_padding(model, data.theta);
  return data;
}

struct NetworkResult {
  std::vector<float> output, grad;
};

/// Forward and, if `mode` is training, backward, `grad` NaN before it.
inline NetworkResult run_plan(const Device& device, const Model& model, const Shape& input,
                              const NetworkData& data, PlanMode mode = PlanMode::kTraining,
                              int times = 1) {
  const Stream stream(device);
  Plan plan(model, device, input, mode);
  DeviceArray<float> theta(device, model.parameter_count()), grad(device, model.parameter_count());
  theta.upload(stream, data.theta.data(), theta.size());
  const std::vector<float> nothing(static_cast<std::size_t>(grad.size()),
                                   std::numeric_limits<float>::quiet_NaN());
  grad.upload(stream, nothing.data(), grad.size());
  Tensor x(device, input), output(device, plan.output_shape()), dy(device, plan.output_shape());
  x.upload(stream, data.x);
  dy.upload(stream, data.dy);
  NetworkResult result;
  for (int i = 0; i < times; ++i) {
    plan.forward(stream, {theta.data(), theta.size()}, x);
    copy_tensor(stream, plan.output(), 1.0f, false, output);
    if (mode == PlanMode::kTraining) {
      copy_tensor(stream, dy.view(), 1.0f, false, plan.output_gradient());
      plan.backward(stream, {theta.data(), theta.size()}, x, i > 0, {grad.data(), grad.size()});
    }
  }
  result.output = output.to_host(stream);
  result.grad = grad.to_host(stream);
  return result;
}

struct ReferenceResult {
  reference::Pass pass;
  reference::Numbers grad;
  double largest = 0.0;
  const reference::Numbers& output() const { return pass.value.back(); }
};

inline ReferenceResult run_reference(const Model& model, const Shape& input,
                                     const NetworkData& data) {
  const reference::Network network = reference_network(model);
  ReferenceResult result;
  const std::vector<double> theta = to_double(data.theta);
  result.pass =
      reference::forward(network, theta, {input.n, input.h, input.w, input.c}, to_double(data.x));
  result.grad =
      reference::backward(network, theta, result.pass, to_double(data.dy), &result.largest);
  result.largest = std::max(result.largest, result.pass.largest);
  return result;
}

/// Elementwise bounds that would forgive anything prove nothing.
inline void expect_bounds_are_tight(const reference::Numbers& numbers, double fraction) {
  double size = 0.0, error = 0.0;
  for (std::size_t i = 0; i < numbers.value.size(); ++i) {
    size += std::fabs(numbers.value[i]);
    error += numbers.error[i];
  }
  EXPECT_GT(size, 0.0);
  EXPECT_LT(error, fraction * size);
}

/// Real numbers, every element within its own bound.
inline void expect_matches_reference(const Device& device, const Model& model, const Shape& input,
                                     unsigned seed) {
  const NetworkData data = real_data(model, input, seed);
  const NetworkResult actual = run_plan(device, model, input, data);
  const ReferenceResult expected = run_reference(model, input, data);
  expect_within(actual.output, expected.output().value, expected.output().error);
  expect_within(actual.grad, expected.grad.value, expected.grad.error);
  expect_bounds_are_tight(expected.output(), 0.02);
  expect_bounds_are_tight(expected.grad, 0.1);
}

/// A gradient that is 0 for whole layers proves little about them.
inline void expect_most_layers_take_part(const Model& model, const std::vector<double>& grad) {
  std::size_t taking_part = 0;
  for (const Parameter& p : model.parameters())
    taking_part += std::any_of(grad.begin() + p.offset, grad.begin() + p.offset + p.size,
                               [](double value) { return value != 0.0; });
  EXPECT_GE(2 * taking_part, model.parameters().size());
}

/// Whole numbers, every element equal. `unit`: the finest fraction that average poolings make.
inline void expect_equals_reference(const Device& device, const Model& model, const Shape& input,
                                    const NetworkData& data, double unit = 1.0) {
  const ReferenceResult expected = run_reference(model, input, data);
  ASSERT_LT(expected.largest / unit, 1 << 24) << "these numbers are not exact in float32";
  const NetworkResult actual = run_plan(device, model, input, data);
  expect_equal(actual.output, expected.output().value);
  int differences = 0;
  for (std::size_t i = 0; i < actual.grad.size(); ++i)
    differences += !(actual.grad[i] == expected.grad.value[i]);
  EXPECT_EQ(differences, 0) << "of " << actual.grad.size() << " elements of the gradient";
  expect_most_layers_take_part(model, expected.grad.value);
}

}  // namespace curvseg::testing
