#include "host/optim/check_step.hpp"

#include <string>

#include "host/ops/check.hpp"

namespace curvseg {

void check_step(std::string_view optimizer, const StepContext& context, std::int64_t parameters) {
  if (context.theta.size != parameters || context.grad.size != parameters)
    refuse(optimizer, "theta has " + std::to_string(context.theta.size) + " elements and grad " +
                          std::to_string(context.grad.size) + ", the optimiser was made for " +
                          std::to_string(parameters));
  if (context.step == 0) refuse(optimizer, "steps are counted from 1, this one is 0");
  if (context.max_norm > 0.0f && !context.squared_norm)
    refuse(optimizer,
           "max_norm is " + std::to_string(context.max_norm) + " but squared_norm is not given");
}

void check_curvature_step(std::string_view optimizer, const StepContext& context,
                          std::int64_t parameters, CurvatureKind least) {
  check_step(optimizer, context, parameters);
  if (context.batch == nullptr)
    refuse(optimizer, "it looks at the loss of the batch, and the step has none");
  if (context.batch->kind() < least)
    refuse(optimizer, "the loss of the batch is not made for the products that it takes");
}

}  // namespace curvseg
