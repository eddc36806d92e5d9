#include "host/optim/gradient_descent.hpp"

#include <limits>
#include <utility>

#include "curvseg/error.hpp"
#include "curvseg/ops.hpp"
#include "host/ops/check.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

UpdateScalars scalars_of(const StepContext& context) {
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.max_norm = context.max_norm;
  return scalars;
}

/// Of the loss with ½·l2·|θ|².
void add_l2(const StepContext& context, float l2) {
  if (l2 > 0.0f)
    linear_combination(context.stream, {{context.grad}, {context.theta, l2}}, context.grad);
}

ProjectedUpdate set_of(const ProjectedGdOptions& options) {
  ProjectedUpdate set;
  set.radius = options.radius;
  if (options.radius > 0.0f) return set;
  set.low = options.lower;
  set.high = options.upper;
  return set;
}

}  // namespace

GradientDescent::GradientDescent(const Stream& stream, const GradientDescentOptions& options,
                                 std::int64_t parameters)
    : GradientDescent(stream, "gd", parameters, options.l2, {}) {}

GradientDescent::GradientDescent(const Stream& stream, const ProjectedGdOptions& options,
                                 std::int64_t parameters)
    : GradientDescent(stream, "projected-gd", parameters, options.l2, set_of(options)) {}

GradientDescent::GradientDescent(const Stream& stream, std::string name, std::int64_t parameters,
                                 float l2, const ProjectedUpdate& set)
    : name_(std::move(name)),
      parameters_(parameters),
      l2_(l2),
      set_(set),
      guard_(stream, parameters),
      scalars_(stream.device()) {
  set_.n = parameters;
  workspace_ = {stream.device(), kernels_of(stream).projected_update_workspace(set_)};
}

void GradientDescent::step(const StepContext& context) {
  check_step(name(), context, parameters_);
  guard_.judge(context);
  add_l2(context, l2_);
  scalars_.set(context.stream, scalars_of(context));
  ProjectedUpdate p = set_;
  p.theta = context.theta.data;
  p.grad = context.grad.data;
  p.scalars = scalars_.device();
  p.squared_norm = context.squared_norm;
  p.factor = guard_.factor(context);
  p.workspace = workspace_.data();
  const CurrentDevice current(context.stream.device());
  kernels_of(context.stream).projected_update(context.stream.native(), p);
}

OptimizerState GradientDescent::state() {
  OptimizerState result;
  guard_.append_state(result);
  return result;
}

namespace {

/// Before anything is allocated: memory must not go while a stream still works on it.
const PreconditionedGdOptions& checked(const PreconditionedGdOptions& options,
                                       std::int64_t parameters) {
  const ConstVectorView& diagonal = options.preconditioner;
  if (diagonal.data == nullptr) return options;
  if (options.inverse)
    throw InputError("preconditioned-gd: a preconditioner of " + std::to_string(diagonal.size) +
                     " elements is given, and an inverse too: it takes one of them");
  if (diagonal.size != parameters)
    throw InputError("preconditioned-gd: the preconditioner has " + std::to_string(diagonal.size) +
                     " elements, theta has " + std::to_string(parameters));
  return options;
}

}  // namespace

PreconditionedGd::PreconditionedGd(const Stream& stream, const PreconditionedGdOptions& options,
                                   std::int64_t parameters)
    : options_(checked(options, parameters)),
      parameters_(parameters),
      guard_(stream, parameters),
      scalars_(stream.device()) {
  if (options_.preconditioner.data != nullptr) return;
  mean_ = zeroed_vector(stream, parameters);
  value_ = zeroed_vector(stream, parameters);
  if (options_.inverse) {
    fill(stream, view(mean_), 1.0f);
    return;
  }
  weights_ = zeroed_vector(stream, MeanWeights::kFloats);
}

/// What the mean takes in: the squared gradients of single images.
void PreconditionedGd::measure(const StepContext& context) {
  const Stream& stream = context.stream;
  context.batch->squared_gradients(view(value_));
  AdvanceMean mean;
  mean.accepted = guard_.accepted(context);
  mean.weights = reinterpret_cast<MeanWeights*>(weights_.data());
  mean.decay = options_.decay;
  const CurrentDevice current(stream.device());
  kernels_of(stream).advance_mean(stream.native(), mean);
}

void PreconditionedGd::step(const StepContext& context) {
  if (measures())
    check_curvature_step(name(), context, parameters_, curvature());
  else
    check_step(name(), context, parameters_);
  guard_.judge(context);
  if (measures()) measure(context);
  add_l2(context, options_.l2);
  scalars_.set(context.stream, scalars_of(context));
  PreconditionedUpdate p;
  p.n = parameters_;
  p.theta = context.theta.data;
  p.grad = context.grad.data;
  p.inverse = options_.preconditioner.data;
  if (options_.inverse) {
    options_.inverse(context.grad, view(value_));
    p.grad = value_.data();
    p.inverse = mean_.data();
  }
  p.v = mean_.data();
  p.value = value_.data();
  p.weights = reinterpret_cast<const MeanWeights*>(weights_.data());
  p.damping = options_.damping;
  p.scalars = scalars_.device();
  p.squared_norm = context.squared_norm;
  p.factor = guard_.factor(context);
  const CurrentDevice current(context.stream.device());
  kernels_of(context.stream).preconditioned_update(context.stream.native(), p);
}

OptimizerState PreconditionedGd::state() {
  OptimizerState result;
  guard_.append_state(result);
  if (!measures()) return result;
  result.tensors.push_back({"mean_squared_gradient", view(mean_), {}});
  result.tensors.push_back({"weights", view(weights_), {MeanWeights::kFloats}});
  return result;
}

std::size_t PreconditionedGd::state_bytes() const {
  return guard_.bytes() + mean_.bytes() + value_.bytes() + weights_.bytes();
}

}  // namespace curvseg
