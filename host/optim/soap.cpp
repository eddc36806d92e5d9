#include "host/optim/soap.hpp"

#include "host/optim/check_step.hpp"

namespace curvseg {

Soap::Soap(const Stream& stream, const SoapOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      moments_(stream, options, model),
      factors_(stream.device()) {}

void Soap::step(const StepContext& context) {
  check_step(name(), context, parameters_);
  moments_.direction(context.stream, context.step, context.grad, context.grad);
  step_along(context, context.grad, options_.decoupled_l2, factors_);
}

OptimizerState Soap::state() {
  OptimizerState result;
  moments_.append_state(result);
  return result;
}

}  // namespace curvseg
