#include "host/optim/quadratic_stepper.hpp"

#include <algorithm>
#include <cmath>

#include "curvseg/ops.hpp"
#include "host/ops/check.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

constexpr std::int64_t kScratch = 8;  // three numbers of the form, five products
constexpr int kProducts = 5;
constexpr std::uint64_t kFirstMeasured = 10;  // curvature changes most in the first steps

}  // namespace

QuadraticStepper::QuadraticStepper(const Stream& stream, const QuadraticStepperOptions& options,
                                   std::int64_t parameters)
    : options_(options),
      numbers_(zeroed_vector(stream, QuadraticState::kFloats)),
      rate_(zeroed_vector(stream, RateState::kFloats)),
      trial_(zeroed_vector(stream, QuadraticState::kFloats)),
      mean_gradient_(zeroed_vector(stream, parameters)),
      previous_(zeroed_vector(stream, parameters)),
      scratch_(zeroed_vector(stream, kScratch)),
      workspace_(stream.device(), static_cast<std::int64_t>(dot_products_workspace(
                                      stream.device(), parameters, kProducts)) /
                                      static_cast<std::int64_t>(sizeof(float))),
      factor_(stream.device()) {}

void QuadraticStepper::judge(const StepContext& context) {
  factor_.set(context.stream, context.learning_rate);
  judge(context, numbers_);
}

void QuadraticStepper::judge(const StepContext& context, const DeviceArray<float>& state) const {
  JudgeLoss p;
  p.loss = context.batch->loss();
  p.squared_norm = context.squared_norm;
  p.state = reinterpret_cast<QuadraticState*>(state.data());
  p.momentum = options_.momentum;
  const CurrentDevice current(context.stream.device());
  kernels_of(context.stream).judge_loss(context.stream.native(), p);
}

VectorView QuadraticStepper::mean_gradient(const StepContext& context) {
  const VectorView m = view(mean_gradient_);
  linear_combination(context.stream,
                     {{m, 1.0f, &state()->keep}, {context.grad, 1.0f, &state()->take}}, m);
  return m;
}

int QuadraticStepper::images(const StepContext& context) const {
  const int all = context.batch->x().shape.n;
  const double part = std::ceil(static_cast<double>(all) * options_.batch_fraction);
  return std::clamp(static_cast<int>(part), 1, all);
}

void QuadraticStepper::step(const StepContext& context, ConstVectorView grad, ConstVectorView d,
                            float l2) {
  const Stream& stream = context.stream;
  const VectorView p = view(previous_);
  const bool measured = options_.previous_direction || context.step <= kFirstMeasured ||
                        context.step % static_cast<std::uint64_t>(options_.model_every) == 0;
  if (options_.previous_direction) {
    const ConstVectorView directions[] = {d, p};
    context.batch->quadratic_form(directions, images(context), form());
    dot_products(stream, {{grad, d}, {d, d}, {grad, p}, {d, p}, {p, p}}, workspace(), products());
  } else {
    if (measured) context.batch->quadratic_form({&d, 1}, images(context), form());
    dot_products(stream, {{grad, d}, {d, d}, {view(mean_gradient_), d}}, workspace(), products());
  }
  QuadraticStep q;
  q.form = measured ? form() : nullptr;
  q.products = products();
  q.factor = factor_.device();
  q.state = state();
  q.previous_direction = options_.previous_direction;
  q.damping = options_.damping + l2;
  q.smoothing = options_.smoothing;
  q.curvature_smoothing = options_.curvature_smoothing;
  q.largest_radius = options_.radius;
  {
    const CurrentDevice current(stream.device());
    kernels_of(stream).quadratic_step(stream.native(), q);
  }
  move(context, d);
}

void QuadraticStepper::rate_step(const StepContext& context, ConstVectorView grad,
                                 ConstVectorView d, bool measure) {
  const Stream& stream = context.stream;
  if (measure) {
    context.batch->quadratic_form({&d, 1}, images(context), form());
    dot_products(stream, {{grad, d}}, workspace(), products());
  }
  RateStep r;
  r.form = measure ? form() : nullptr;
  r.products = products();
  r.factor = factor_.device();
  r.state = state();
  r.rate = rate();
  r.fraction = options_.rate_fraction;
  r.largest_change = options_.rate_change;
  {
    const CurrentDevice current(stream.device());
    kernels_of(stream).rate_step(stream.native(), r);
  }
  move(context, d);
}

void QuadraticStepper::move(const StepContext& context, ConstVectorView d) {
  const VectorView p = view(previous_);
  linear_combination(context.stream, {{d, 1.0f, &state()->along_d}, {p, 1.0f, &state()->along_p}},
                     p);
  linear_combination(context.stream, {{context.theta}, {p}}, context.theta);
}

bool QuadraticStepper::failed(const StepContext& context) const {
  linear_combination(context.stream, {{view(numbers_)}}, view(trial_));
  judge(context, trial_);
  QuadraticState s;
  trial_.download(context.stream, reinterpret_cast<float*>(&s), QuadraticState::kFloats);
  context.stream.synchronise();
  return s.accepted == 0.0f && s.has_previous != 0.0f;
}

void QuadraticStepper::take_back(const StepContext& context) const {
  linear_combination(context.stream, {{context.theta}, {view(previous_), -1.0f}}, context.theta);
}

void QuadraticStepper::append_state(OptimizerState& to) {
  to.tensors.push_back({"mean_gradient", view(mean_gradient_), {}});
  to.tensors.push_back({"previous_step", view(previous_), {}});
  to.tensors.push_back({"quadratic_model", view(numbers_), {QuadraticState::kFloats}});
  to.tensors.push_back({"rate", view(rate_), {RateState::kFloats}});
}

std::vector<NamedNumber> QuadraticStepper::report(const Stream& stream) const {
  QuadraticState s;
  RateState r;
  numbers_.download(stream, reinterpret_cast<float*>(&s), QuadraticState::kFloats);
  rate_.download(stream, reinterpret_cast<float*>(&r), RateState::kFloats);
  stream.synchronise();
  const auto number = [](const char* name, float value) {
    return NamedNumber{name, static_cast<double>(value)};
  };
  return {number("alpha", s.alpha),
          number("mu", s.mu),
          number("model_decrease", s.decrease),
          number("radius", s.radius),
          number("rejected", s.rejected),
          number("rate", r.rate)};
}

std::size_t QuadraticStepper::bytes() const {
  return numbers_.bytes() + rate_.bytes() + trial_.bytes() + mean_gradient_.bytes() +
         previous_.bytes() + scratch_.bytes() + workspace_.bytes();
}

}  // namespace curvseg
