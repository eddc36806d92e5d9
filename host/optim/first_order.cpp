#include "host/optim/first_order.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

Regularisation regularisation(const RegularisationOptions& options) {
  return {options.l1, options.l2, options.decoupled_l2, options.proximal_l1};
}

void check(std::string_view name, const StepContext& context, std::int64_t parameters) {
  const auto refuse = [name](const std::string& why) {
    throw std::invalid_argument(std::string(name) + ": " + why);
  };
  if (context.theta.size != parameters || context.grad.size != parameters)
    refuse("theta has " + std::to_string(context.theta.size) + " elements and grad " +
           std::to_string(context.grad.size) + ", the optimiser was made for " +
           std::to_string(parameters));
  if (context.step == 0) refuse("steps are counted from 1, this one is 0");
  if (context.max_norm > 0.0f && !context.squared_norm)
    refuse("max_norm is " + std::to_string(context.max_norm) + " but squared_norm is not given");
}

/// 1 − β^t, in double: in float it loses its digits for β near 1.
float bias_correction(float beta, std::uint64_t t) {
  return static_cast<float>(1.0 - std::pow(static_cast<double>(beta), static_cast<double>(t)));
}

}  // namespace

Sgd::Sgd(const Stream& stream, const SgdOptions& options, std::int64_t parameters)
    : options_(options), parameters_(parameters), scalars_(stream.device()) {
  if (options.momentum != 0.0f) momentum_ = zeroed_vector(stream, parameters);
}

void Sgd::step(const StepContext& context) {
  check(name(), context, parameters_);
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.max_norm = context.max_norm;
  scalars_.upload(context.stream, scalars);
  SgdUpdate p;
  p.n = parameters_;
  p.theta = context.theta.data;
  p.grad = context.grad.data;
  p.momentum_buffer = momentum_.data();
  p.scalars = scalars_.device();
  p.squared_norm = context.squared_norm;
  p.momentum = options_.momentum;
  p.nesterov = options_.nesterov;
  p.regularisation = regularisation(options_.regularisation);
  const CurrentDevice current(context.stream.device());
  context.stream.device().target().kernels->sgd_update(context.stream.native(), p);
}

OptimizerState Sgd::state() {
  OptimizerState result;
  if (momentum_.size() > 0) result.tensors.push_back({"momentum", view(momentum_), {}});
  return result;
}

Adam::Adam(const Stream& stream, std::string name, const AdamOptions& options,
           std::int64_t parameters)
    : name_(std::move(name)),
      options_(options),
      parameters_(parameters),
      scalars_(stream.device()),
      m_(zeroed_vector(stream, parameters)),
      v_(zeroed_vector(stream, parameters)) {}

void Adam::step(const StepContext& context) {
  check(name_, context, parameters_);
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.bias_correction1 = bias_correction(options_.beta1, context.step);
  scalars.bias_correction2 = bias_correction(options_.beta2, context.step);
  scalars.max_norm = context.max_norm;
  scalars_.upload(context.stream, scalars);
  AdamUpdate p;
  p.n = parameters_;
  p.theta = context.theta.data;
  p.grad = context.grad.data;
  p.m = m_.data();
  p.v = v_.data();
  p.scalars = scalars_.device();
  p.squared_norm = context.squared_norm;
  p.beta1 = options_.beta1;
  p.beta2 = options_.beta2;
  p.epsilon = options_.epsilon;
  p.regularisation = regularisation(options_.regularisation);
  const CurrentDevice current(context.stream.device());
  context.stream.device().target().kernels->adam_update(context.stream.native(), p);
}

OptimizerState Adam::state() { return {{{"m", view(m_), {}}, {"v", view(v_), {}}}, {}}; }

}  // namespace curvseg
