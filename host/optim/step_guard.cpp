#include "host/optim/step_guard.hpp"

#include "curvseg/ops.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {

StepGuard::StepGuard(const Stream& stream, std::int64_t parameters)
    : numbers_(zeroed_vector(stream, GuardState::kFloats)),
      trial_(zeroed_vector(stream, GuardState::kFloats)),
      previous_(zeroed_vector(stream, parameters)) {}

void StepGuard::judge(const StepContext& context, const DeviceArray<float>& state) const {
  GuardStep p;
  p.loss = context.batch->loss();
  p.squared_norm = context.squared_norm;
  p.state = reinterpret_cast<GuardState*>(state.data());
  const CurrentDevice current(context.stream.device());
  context.stream.device().target().kernels->guard_step(context.stream.native(), p);
}

void StepGuard::judge(const StepContext& context) {
  if (context.batch == nullptr) return;
  const Stream& stream = context.stream;
  judge(context, numbers_);
  // A factor of 0 reads nothing: a theta that is not finite goes.
  linear_combination(
      stream, {{context.theta, 1.0f, &state()->keep}, {view(previous_), 1.0f, &state()->undo}},
      context.theta);
  linear_combination(stream, {{context.theta}}, view(previous_));
}

void StepGuard::drop_rejected_gradient(const StepContext& context) const {
  if (context.batch == nullptr) return;
  linear_combination(context.stream, {{context.grad, 1.0f, accepted(context)}}, context.grad);
}

bool StepGuard::failed(const StepContext& context) const {
  linear_combination(context.stream, {{view(numbers_)}}, view(trial_));
  judge(context, trial_);
  GuardState s;
  trial_.download(context.stream, reinterpret_cast<float*>(&s), GuardState::kFloats);
  context.stream.synchronise();
  return s.undo != 0.0f;
}

void StepGuard::take_back(const StepContext& context) const {
  linear_combination(context.stream, {{view(previous_)}}, context.theta);
}

void StepGuard::append_state(OptimizerState& to) {
  to.tensors.push_back({"previous_theta", view(previous_), {}});
  to.tensors.push_back({"guard", view(numbers_), {GuardState::kFloats}});
}

std::vector<NamedNumber> StepGuard::report(const Stream& stream) const {
  GuardState s;
  numbers_.download(stream, reinterpret_cast<float*>(&s), GuardState::kFloats);
  stream.synchronise();
  return {{"trust", s.trust > 0.0f ? static_cast<double>(s.trust) : 1.0},
          {"rejected", static_cast<double>(s.rejected)}};
}

}  // namespace curvseg
