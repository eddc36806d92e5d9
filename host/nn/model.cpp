#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

#include "host/nn/model_state.hpp"
#include "target.hpp"

namespace curvseg {
namespace {

/// One tensor's own stream of random numbers: adding a layer at the end changes no other layer.
RandomFill random_values(const Parameter& parameter, std::uint64_t seed, std::uint64_t stream,
                         float* theta) {
  RandomFill p;
  p.to = theta + parameter.offset;
  p.n = parameter.size;
  p.seed = seed;
  p.stream = stream;
  const double in = static_cast<double>(parameter.fan_in);
  const double out = static_cast<double>(parameter.fan_out);
  if (parameter.initialiser == Initialiser::kHeNormal) {
    p.distribution = Distribution::kNormal;
    p.scale = static_cast<float>(std::sqrt(2.0 / in));
  } else {
    p.distribution = Distribution::kUniform;
    p.scale = static_cast<float>(std::sqrt(6.0 / (in + out)));
  }
  return p;
}

void check_size(const Model& model, const char* function, const char* vector, std::int64_t size) {
  if (size != model.parameter_count())
    throw std::invalid_argument(std::string(function) + ": " + vector + " has " +
                                std::to_string(size) + " elements, " + model.name() + " has " +
                                std::to_string(model.parameter_count()));
}

}  // namespace

const std::string& Model::name() const& { return state_->name; }
std::string Model::name() && { return state_->name; }
int Model::in_channels() const { return state_->nodes.front().channels; }
int Model::classes() const { return state_->nodes.back().channels; }
const std::vector<Parameter>& Model::parameters() const& { return state_->parameters; }
std::vector<Parameter> Model::parameters() && { return state_->parameters; }
std::int64_t Model::parameter_count() const { return state_->parameter_count; }
const std::vector<Node>& Model::nodes() const { return state_->nodes; }

Model Model::with_convolutions(ConvAlgorithm algorithm) const {
  auto state = std::make_shared<State>(*state_);
  for (Node& node : state->nodes) node.geometry.algorithm = algorithm;
  Model model;
  model.state_ = std::move(state);
  return model;
}

Shape Model::fixed_input() const { return {0, state_->image_h, state_->image_w, in_channels()}; }

bool Model::is_classifier() const {
  const Shape input = fixed_input();
  if (input.h == 0) return false;
  const Shape output = infer_shapes(nodes(), {1, input.h, input.w, input.c}).back();
  return output.h == 1 && output.w == 1;
}

void Model::initialise(const Stream& stream, std::uint64_t seed, VectorView theta) const {
  check_size(*this, "initialise", "theta", theta.size);
  if (theta.size == 0) return;
  fill(stream, theta, 0.0f);  // biases, and the padding between parameters
  const CurrentDevice current(stream.device());
  const Kernels& kernels = *stream.device().target().kernels;
  for (std::size_t i = 0; i < parameters().size(); ++i) {
    const Parameter& parameter = parameters()[i];
    if (parameter.initialiser != Initialiser::kZero)
      kernels.random_fill(stream.native(), random_values(parameter, seed, i, theta.data));
  }
}

void Model::mark_parameters(const Stream& stream, VectorView mask) const {
  check_size(*this, "mark_parameters", "the mask", mask.size);
  fill(stream, mask, 0.0f);
  for (const Parameter& parameter : parameters())
    fill(stream, {mask.data + parameter.offset, parameter.size}, 1.0f);
}

}  // namespace curvseg
