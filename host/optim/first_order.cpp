#include "host/optim/first_order.hpp"

#include <utility>

#include "host/optim/bias_correction.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

Regularisation regularisation(const RegularisationOptions& options) {
  return {options.l1, options.l2, options.decoupled_l2, options.proximal_l1};
}

}  // namespace

Sgd::Sgd(const Stream& stream, const SgdOptions& options, std::int64_t parameters)
    : options_(options), parameters_(parameters), scalars_(stream.device()) {
  if (options.momentum != 0.0f) momentum_ = zeroed_vector(stream, parameters);
}

void Sgd::step(const StepContext& context) {
  check_step(name(), context, parameters_);
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.max_norm = context.max_norm;
  scalars_.set(context.stream, scalars);
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
  check_step(name_, context, parameters_);
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.bias_correction1 = bias_correction(options_.beta1, context.step);
  scalars.bias_correction2 = bias_correction(options_.beta2, context.step);
  scalars.max_norm = context.max_norm;
  scalars_.set(context.stream, scalars);
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
