#include "host/optim/auto.hpp"

#include <algorithm>

#include "curvseg/ops.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/optim/foof.hpp"

namespace curvseg {

Auto::Auto(const Stream& stream, const AutoOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      factors_(stream, model, factor_options(options.foof)),
      moments_(stream, options.soap, model),
      stepper_(stream, stepper_options(options.foof), parameters_),
      d_(zeroed_vector(stream, parameters_)) {}

void Auto::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  const float l2 = options_.foof.l2;
  if (l2 > 0.0f)
    linear_combination(context.stream, {{context.grad}, {context.theta, l2}}, context.grad);
  stepper_.judge(context);
  has_model_ = context.step <= options_.foof_steps;
  if (context.step <= options_.foof_steps)
    foof_step(context);
  else
    soap_step(context);
}

void Auto::foof_step(const StepContext& context) {
  const Stream& stream = context.stream;
  if (observes(options_.foof, context.step))
    factors_.observe(stream, *context.batch, context.step, stepper_.accepted());
  if (inverts(options_.foof, context.step)) factors_.invert(stream);
  factors_.apply(stream, stepper_.mean_gradient(context), view(d_));
  stepper_.step(context, context.grad, view(d_), options_.foof.l2);
  if (context.step <= unwatched_steps()) return;
  moments_.observe(stream, context.step - unwatched_steps(), context.grad, stepper_.accepted());
}

void Auto::soap_step(const StepContext& context) {
  const Stream& stream = context.stream;
  const ConstVectorView d = moments_.direction(stream, context.step - unwatched_steps(),
                                               context.grad, stepper_.accepted());
  // An R-forward pass each; one more or less hardly moves a mean over ten of them.
  const std::uint64_t of_soap = context.step - options_.foof_steps - 1;
  const bool measure = of_soap < options_.measured_steps &&
                       of_soap % static_cast<std::uint64_t>(options_.measure_every) == 0;
  stepper_.rate_step(context, context.grad, d, measure);
}

std::uint64_t Auto::unwatched_steps() const {
  return options_.foof_steps - std::min(options_.foof_steps, options_.watched_steps);
}

OptimizerState Auto::state() {
  OptimizerState result;
  stepper_.append_state(result);
  factors_.append_state(result);
  moments_.append_state(result);
  return result;
}

std::vector<NamedNumber> Auto::report(const Stream& stream) {
  std::vector<NamedNumber> result = stepper_.report(stream);
  if (!has_model_)
    std::erase_if(result, [](const NamedNumber& each) { return each.name == "model_decrease"; });
  return result;
}

std::size_t Auto::state_bytes() const {
  return factors_.bytes() + moments_.bytes() + stepper_.bytes() + d_.bytes();
}

}  // namespace curvseg
