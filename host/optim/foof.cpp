#include "host/optim/foof.hpp"

#include "curvseg/ops.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"

namespace curvseg {

bool observes(const FoofOptions& options, std::uint64_t step) {
  return inverts(options, step) || step % static_cast<std::uint64_t>(options.factor_every) == 0;
}

bool inverts(const FoofOptions& options, std::uint64_t step) {
  // The mean of patches changes most at first.
  return step == 1 || step == 2 || step == 3 || step == 5 ||
         step % static_cast<std::uint64_t>(options.inverse_every) == 0;
}

InputFactorOptions factor_options(const FoofOptions& o) {
  return {.positions = o.positions, .decay = o.factor_decay, .damping = o.damping};
}

QuadraticStepperOptions stepper_options(const FoofOptions& o) {
  return {.momentum = o.momentum,
          .damping = o.model_damping,
          .previous_direction = o.previous_direction,
          .smoothing = o.smoothing,
          .radius = o.radius,
          .batch_fraction = o.batch_fraction,
          .model_every = o.model_every,
          .curvature_smoothing = o.curvature_smoothing};
}

Foof::Foof(const Stream& stream, const FoofOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      factors_(stream, model, factor_options(options)),
      stepper_(stream, stepper_options(options), parameters_),
      d_(zeroed_vector(stream, parameters_)) {}

void Foof::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  if (options_.l2 > 0.0f)
    linear_combination(context.stream, {{context.grad}, {context.theta, options_.l2}},
                       context.grad);
  stepper_.judge(context);
  if (observes(options_, context.step))
    factors_.observe(context.stream, *context.batch, context.step, stepper_.accepted());
  if (inverts(options_, context.step)) factors_.invert(context.stream);
  factors_.apply(context.stream, stepper_.mean_gradient(context), view(d_));
  stepper_.step(context, context.grad, view(d_), options_.l2);
}

OptimizerState Foof::state() {
  OptimizerState result;
  stepper_.append_state(result);
  factors_.append_state(result);
  return result;
}

std::size_t Foof::state_bytes() const { return factors_.bytes() + stepper_.bytes() + d_.bytes(); }

}  // namespace curvseg
