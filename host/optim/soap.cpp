#include "host/optim/soap.hpp"

#include "host/optim/check_step.hpp"

namespace curvseg {

Soap::Soap(const Stream& stream, const SoapOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      moments_(stream, options, model),
      guard_(stream, parameters_),
      along_(stream) {}

void Soap::step(const StepContext& context) {
  check_step(name(), context, parameters_);
  guard_.judge(context);
  const ConstVectorView d =
      moments_.direction(context.stream, context.step, context.grad, guard_.accepted(context));
  along_.step(context, d, options_.decoupled_l2, guard_.factor(context));
}

OptimizerState Soap::state() {
  OptimizerState result;
  guard_.append_state(result);
  moments_.append_state(result);
  return result;
}

}  // namespace curvseg
