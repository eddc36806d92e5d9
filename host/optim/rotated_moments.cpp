#include "host/optim/rotated_moments.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "host/ops/check.hpp"
#include "host/ops/matrix.hpp"
#include "host/optim/bias_correction.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

MatrixView square(const DeviceArray<float>& memory, int n) { return {memory.data(), n, n}; }
MatrixView matrix(float* of, std::int64_t elements, int columns) {
  return {of, static_cast<int>(elements / columns), columns};
}
ConstMatrixView matrix(const float* of, std::int64_t elements, int columns) {
  return {of, static_cast<int>(elements / columns), columns};
}

/// Those of a block of channels.
template <class View, class Block>
View columns(const View& all, const Block& block) {
  return {all.data + block.first, all.rows, block.n, all.ld};
}

/// As many operands from the i-th as a call may have.
template <class T>
std::span<const T> some_of(const std::vector<T>& operands, std::size_t i) {
  return std::span(operands).subspan(
      i, std::min<std::size_t>(kLargestMatrixBatch, operands.size() - i));
}

void transpose(const Stream& stream, std::int64_t batch, int rows, int columns, const float* from,
               float* to) {
  const CurrentDevice current(stream.device());
  kernels_of(stream).transpose(stream.native(), {batch, rows, columns, from, to});
}

}  // namespace

RotatedMoments::RotatedMoments(const Stream& stream, const SoapOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      scalars_(stream.device()),
      m_(zeroed_vector(stream, parameters_)),
      v_(zeroed_vector(stream, parameters_)),
      rotated_(zeroed_vector(stream, parameters_)) {
  for (const LayerMatrix& matrix : layer_matrices(model)) {
    Layer layer;
    layer.matrix = matrix;
    layer.columns = matrix.columns();
    layer.rows = matrix.rows() / matrix.taps;
    layer.left = make_side(stream, layer.rows);
    layer.right = make_side(stream, layer.columns);
    layers_.push_back(std::move(layer));
  }
  list_blocks();
  allocate_scratch(stream);
}

RotatedMoments::Side RotatedMoments::make_side(const Stream& stream, int n) const {
  Side side{n, {}};
  if (n < 2 || options_.largest_basis < 2) return side;
  for (const auto& [first, count] : channel_groups(n, options_.largest_basis)) {
    const std::int64_t elements = static_cast<std::int64_t>(count) * count;
    side.blocks.push_back(
        {first, count, zeroed_vector(stream, elements), zeroed_vector(stream, elements)});
  }
  return side;
}

void RotatedMoments::list_blocks() {
  for (const Layer& layer : layers_)
    for (const Side* side : {&layer.left, &layer.right})
      for (const Block& block : side->blocks) blocks_.push_back(&block);
}

void RotatedMoments::allocate_scratch(const Stream& stream) {
  const Device& device = stream.device();
  std::int64_t elements = 0, squares = 0;
  std::size_t bytes = 0;
  for (const Layer& layer : layers_) {
    elements = std::max(elements, layer.matrix.elements());
    for (const auto& [side, other] :
         {std::pair{&layer.left, layer.columns}, std::pair{&layer.right, layer.rows}}) {
      const int rows = layer.matrix.taps * other;
      for (const Block& block : side->blocks)
        bytes = std::max({bytes, multiply_workspace(device, rows, block.n, block.n),
                          multiply_a_bt_workspace(device, rows, block.n, block.n),
                          multiply_at_b_workspace(device, block.n, rows, block.n),
                          multiply_workspace(device, block.n, block.n, block.n)});
    }
  }
  std::vector<int> sizes;
  for (const Block* block : blocks_) {
    sizes.push_back(block->n);
    squares += block->factor.size() + block->n;
  }
  for (std::size_t i = 0; i < sizes.size(); i += kLargestMatrixBatch) {
    const auto some =
        std::span(sizes).subspan(i, std::min<std::size_t>(kLargestMatrixBatch, sizes.size() - i));
    bytes = std::max({bytes, orthonormal_basis_workspace(device, some),
                      symmetric_eigen_workspace(device, some)});
  }
  turned_ = DeviceArray<float>(device, elements);
  product_ = DeviceArray<float>(device, elements);
  squares_ = DeviceArray<float>(device, squares);
  float* at = squares_.data();
  for (const Block* block : blocks_) {
    refreshed_.push_back({{at, block->n, block->n}, square(block->basis, block->n)});
    at += block->factor.size();
  }
  workspace_ = DeviceArray<float>(device, static_cast<std::int64_t>(bytes / sizeof(float)));
}

ConstVectorView RotatedMoments::direction(const Stream& stream, std::uint64_t step,
                                          ConstVectorView grad, const float* accepted) {
  observe(stream, step, grad, accepted);
  rotate_all(stream, view(rotated_), /*back=*/true);
  return view(rotated_);
}

void RotatedMoments::observe(const Stream& stream, std::uint64_t step, ConstVectorView grad,
                             const float* accepted) {
  const VectorView rotated = view(rotated_);
  linear_combination(stream, {{grad, 1.0f, accepted}}, rotated);
  if ((step - 1) % static_cast<std::uint64_t>(options_.factor_every) == 0)
    for (const Layer& layer : layers_) update_factors(stream, layer, rotated);
  const auto every = static_cast<std::uint64_t>(options_.basis_every);
  if (step == 1) {
    first_bases(stream);
  } else if (step % every == 0) {
    rotate_all(stream, view(m_), /*back=*/true);
    refresh_bases(stream);
    rotate_all(stream, view(m_), /*back=*/false);
  }
  rotate_all(stream, rotated, /*back=*/false);
  UpdateScalars scalars;
  scalars.bias_correction1 = bias_correction(options_.beta1, step);
  scalars.bias_correction2 = bias_correction(options_.beta2, step);
  scalars_.set(stream, scalars);
  AdamDirection p;
  p.n = parameters_;
  p.grad = rotated.data;
  p.m = m_.data();
  p.v = v_.data();
  p.to = rotated.data;
  p.scalars = scalars_.device();
  p.beta1 = options_.beta1;
  p.beta2 = options_.beta2;
  p.epsilon = options_.epsilon;
  const CurrentDevice current(stream.device());
  kernels_of(stream).adam_direction(stream.native(), p);
}

void RotatedMoments::update_factors(const Stream& stream, const Layer& layer,
                                    ConstVectorView grad) {
  const float* g = grad.data + layer.matrix.weight;
  const std::int64_t elements = layer.matrix.elements();
  add_square(stream, layer.right, g, elements);
  if (!layer.left.rotates()) return;
  transpose(stream, layer.matrix.taps, layer.rows, layer.columns, g, turned_.data());
  add_square(stream, layer.left, turned_.data(), elements);
}

void RotatedMoments::add_square(const Stream& stream, const Side& side, const float* of,
                                std::int64_t elements) {
  for (const Block& block : side.blocks) {
    const VectorView factor = view(block.factor);
    linear_combination(stream, {{factor, options_.factor_decay}}, factor);
    const ConstMatrixView x = columns(matrix(of, elements, side.n), block);
    multiply_at_b(stream, x, x, {.accumulate = true}, workspace(), square(block.factor, block.n));
  }
}

void RotatedMoments::multiply_by(const Stream& stream, const Side& side, bool transposed,
                                 const float* from, std::int64_t elements, float* to) {
  for (const Block& block : side.blocks) {
    const ConstMatrixView x = columns(matrix(from, elements, side.n), block);
    const MatrixView result = columns(matrix(to, elements, side.n), block);
    if (transposed)
      multiply_a_bt(stream, x, basis(block), {}, workspace(), result);
    else
      multiply(stream, x, basis(block), {}, workspace(), result);
  }
}

void RotatedMoments::first_bases(const Stream& stream) {
  std::vector<SymmetricEigenOperands> operands;
  float* at = squares_.data();
  for (const Block* block : blocks_) {
    // Of the negative, so that the largest come first: the order that orthogonal iteration keeps.
    const int n = block->n;
    const VectorView negative{at, block->factor.size()};
    linear_combination(stream, {{view(block->factor), -1.0f}}, negative);
    at += negative.size;
    operands.push_back({{negative.data, n, n}, {at, n}, square(block->basis, n)});
    at += n;
  }
  for (std::size_t i = 0; i < operands.size(); i += kLargestMatrixBatch)
    symmetric_eigen(stream, some_of(operands, i), workspace());
}

void RotatedMoments::refresh_bases(const Stream& stream) {
  float* at = squares_.data();
  for (const Block* block : blocks_) {
    multiply(stream, square(block->factor, block->n), square(block->basis, block->n), {},
             workspace(), MatrixView{at, block->n, block->n});
    at += block->factor.size();
  }
  for (std::size_t i = 0; i < refreshed_.size(); i += kLargestMatrixBatch)
    orthonormal_basis(stream, some_of(refreshed_, i), workspace());
}

void RotatedMoments::rotate(const Stream& stream, const Layer& layer, VectorView all) {
  const std::int64_t elements = layer.matrix.elements();
  float* const result = all.data + layer.matrix.weight;
  const float* x = result;
  if (layer.right.rotates()) {
    multiply_by(stream, layer.right, /*transposed=*/false, x, elements, product_.data());
    x = product_.data();
  }
  if (!layer.left.rotates()) {
    linear_combination(stream, {{{x, elements}}}, {result, elements});
    return;
  }
  transpose(stream, layer.matrix.taps, layer.rows, layer.columns, x, turned_.data());
  multiply_by(stream, layer.left, /*transposed=*/false, turned_.data(), elements, result);
}

void RotatedMoments::rotate_back(const Stream& stream, const Layer& layer, VectorView all) {
  const std::int64_t elements = layer.matrix.elements();
  float* const result = all.data + layer.matrix.weight;
  const float* x = result;
  if (layer.left.rotates()) {
    multiply_by(stream, layer.left, /*transposed=*/true, x, elements, turned_.data());
    float* straight = layer.right.rotates() ? product_.data() : result;
    transpose(stream, layer.matrix.taps, layer.columns, layer.rows, turned_.data(), straight);
    x = straight;
  }
  if (!layer.right.rotates()) return;
  // Without the other side x is where the result goes, and a product overlaps no operand.
  float* product = layer.left.rotates() ? result : product_.data();
  multiply_by(stream, layer.right, /*transposed=*/true, x, elements, product);
  if (product != result) linear_combination(stream, {{{product, elements}}}, {result, elements});
}

void RotatedMoments::rotate_all(const Stream& stream, VectorView all, bool back) {
  for (const Layer& layer : layers_) {
    if (!layer.left.rotates() && !layer.right.rotates()) continue;
    if (back)
      rotate_back(stream, layer, all);
    else
      rotate(stream, layer, all);
  }
}

void RotatedMoments::append_state(OptimizerState& state) {
  state.tensors.push_back({"turned_m", view(m_), {parameters_}});
  state.tensors.push_back({"turned_v", view(v_), {parameters_}});
  for (Layer& layer : layers_)
    for (const auto& [side, name] :
         {std::pair{&layer.left, ".left"}, std::pair{&layer.right, ".right"}}) {
      for (Block& block : side->blocks) {
        std::string prefix = "soap." + layer.matrix.name + name;
        if (block.first > 0) prefix += " from channel " + std::to_string(block.first);
        state.tensors.push_back({prefix + ".sum", view(block.factor), {block.n, block.n}});
        state.tensors.push_back({prefix + ".basis", view(block.basis), {block.n, block.n}});
      }
    }
}

std::size_t RotatedMoments::bytes() const {
  std::size_t result = m_.bytes() + v_.bytes() + rotated_.bytes() + turned_.bytes() +
                       product_.bytes() + squares_.bytes() + workspace_.bytes();
  for (const Layer& layer : layers_)
    for (const Side* side : {&layer.left, &layer.right})
      for (const Block& block : side->blocks) result += block.factor.bytes() + block.basis.bytes();
  return result;
}

}  // namespace curvseg
