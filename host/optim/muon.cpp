#include "host/optim/muon.hpp"

#include <algorithm>
#include <cmath>

#include "host/ops/matrix.hpp"
#include "host/optim/bias_correction.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
constexpr int kIterations = 5;

/// A matrix is iterated with the Gram matrix of its shorter side.
bool columns_are_shorter(const LayerMatrix& layer) { return layer.columns() <= layer.rows(); }

int shorter_side(const LayerMatrix& layer) { return std::min(layer.columns(), layer.rows()); }

}  // namespace

Muon::Muon(const Stream& stream, const MuonOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      layers_(layer_matrices(model)),
      scalars_(stream.device()),
      guard_(stream, parameters_),
      along_(stream),
      momentum_(zeroed_vector(stream, parameters_)),
      adam_m_(zeroed_vector(stream, parameters_)),
      adam_v_(zeroed_vector(stream, parameters_)),
      d_(zeroed_vector(stream, parameters_)) {
  allocate_scratch(stream);
}

void Muon::allocate_scratch(const Stream& stream) {
  const Device& device = stream.device();
  std::int64_t elements = 0, side = 0;
  std::size_t bytes = 0;
  for (const LayerMatrix& layer : layers_) {
    const int rows = layer.rows(), columns = layer.columns(), n = shorter_side(layer);
    elements = std::max(elements, layer.elements());
    side = std::max<std::int64_t>(side, n);
    bytes = std::max(
        {bytes, multiply_at_b_workspace(device, columns, rows, columns),
         multiply_a_bt_workspace(device, rows, columns, n), multiply_workspace(device, rows, n, n),
         multiply_workspace(device, n, n, columns), multiply_workspace(device, n, n, n),
         dot_products_workspace(device, layer.elements(), 1)});
  }
  norms_ = DeviceArray<float>(device, static_cast<std::int64_t>(layers_.size()));
  gram_ = DeviceArray<float>(device, side * side);
  square_ = DeviceArray<float>(device, side * side);
  product_ = DeviceArray<float>(device, elements);
  workspace_ = DeviceArray<float>(device, static_cast<std::int64_t>(bytes / sizeof(float)));
}

void Muon::step(const StepContext& context) {
  check_step(name(), context, parameters_);
  const Stream& stream = context.stream;
  const Kernels& kernels = *stream.device().target().kernels;
  const VectorView momentum = view(momentum_), d = view(d_);
  guard_.judge(context);
  guard_.drop_rejected_gradient(context);
  // Adam's direction for everything; the layers' is overwritten below.
  scalars_.set(stream, {.bias_correction1 = bias_correction(options_.beta1, context.step),
                        .bias_correction2 = bias_correction(options_.beta2, context.step)});
  const CurrentDevice current(stream.device());
  kernels.adam_direction(stream.native(),
                         {parameters_, context.grad.data, adam_m_.data(), adam_v_.data(), d.data,
                          scalars_.device(), options_.beta1, options_.beta2, options_.epsilon});
  linear_combination(stream, {{momentum, options_.momentum}, {context.grad}}, momentum);
  linear_combination(stream, {{context.grad}, {momentum, options_.momentum}}, context.grad);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const ConstVectorView x{context.grad.data + layers_[i].weight, layers_[i].elements()};
    dot_products(stream, {{x, x}}, workspace(), norms_.data() + i);
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerMatrix& layer = layers_[i];
    float* x = context.grad.data + layer.weight;
    orthogonalise(stream, layer, x, norms_.data() + i);
    const auto longer = static_cast<float>(std::max(layer.rows(), layer.columns()));
    linear_combination(stream, {{{x, layer.elements()}, 0.2f * std::sqrt(longer)}},
                       {d.data + layer.weight, layer.elements()});
  }
  along_.step(context, d, options_.decoupled_l2, guard_.factor(context));
}

void Muon::orthogonalise(const Stream& stream, const LayerMatrix& layer, float* x,
                         const float* squared_norm) {
  const std::int64_t elements = layer.elements();
  const int rows = layer.rows(), columns = layer.columns(), n = shorter_side(layer);
  const VectorView flat{x, elements}, product{product_.data(), elements};
  const MatrixView matrix{x, rows, columns}, applied{product_.data(), rows, columns};
  const MatrixView gram{gram_.data(), n, n}, square{square_.data(), n, n};
  const VectorView flat_gram{gram_.data(), static_cast<std::int64_t>(n) * n};
  const VectorView flat_square{square_.data(), flat_gram.size};
  Normalise p;
  p.n = elements;
  p.x = p.to = x;
  p.squared_norm = squared_norm;
  const CurrentDevice current(stream.device());
  stream.device().target().kernels->normalise(stream.native(), p);
  for (int i = 0; i < kIterations; ++i) {
    if (columns_are_shorter(layer))
      multiply_at_b(stream, matrix, matrix, {}, workspace(), gram);
    else
      multiply_a_bt(stream, matrix, matrix, {}, workspace(), gram);
    multiply(stream, gram, gram, {}, workspace(), square);
    linear_combination(stream, {{flat_gram, kB}, {flat_square, kC}}, flat_gram);
    if (columns_are_shorter(layer))
      multiply(stream, matrix, gram, {}, workspace(), applied);
    else
      multiply(stream, gram, matrix, {}, workspace(), applied);
    linear_combination(stream, {{flat, kA}, {product}}, flat);
  }
}

OptimizerState Muon::state() {
  OptimizerState result;
  guard_.append_state(result);
  result.tensors.push_back({"momentum", view(momentum_), {}});
  result.tensors.push_back({"m", view(adam_m_), {}});
  result.tensors.push_back({"v", view(adam_v_), {}});
  return result;
}

std::size_t Muon::state_bytes() const {
  return momentum_.bytes() + adam_m_.bytes() + adam_v_.bytes() + d_.bytes() + norms_.bytes() +
         gram_.bytes() + square_.bytes() + product_.bytes() + workspace_.bytes() + guard_.bytes() +
         along_.bytes();
}

}  // namespace curvseg
