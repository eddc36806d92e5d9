// A BatchLoss: its memory, value and gradients. Products are in curvature_products.cpp.
#include "host/curvature/batch_loss_state.hpp"

namespace curvseg {
namespace {

PlanMode plan_mode(CurvatureKind kind) {
  switch (kind) {
    case CurvatureKind::kNone:
      return PlanMode::kTraining;
    case CurvatureKind::kGaussNewton:
      return PlanMode::kCurvature;
    case CurvatureKind::kLowMemoryHessian:
      return PlanMode::kLowMemoryHessian;
    case CurvatureKind::kHessian:
      break;
  }
  return PlanMode::kHessian;
}

/// Half of the batch needs half of the memory for gradients and derivatives, in nearly the same
/// time (docs/curvature.md).
int chosen_images(const Model& model, CurvatureKind kind, const Shape& input, int asked) {
  if (asked < 0 || asked > input.n)
    throw std::invalid_argument(model.name() + ": " + std::to_string(asked) +
                                " images at once of a batch of " + std::to_string(input.n));
  if (asked != 0) return asked;
  return kind == CurvatureKind::kNone ? input.n : (input.n + 1) / 2;
}

/// Of a plan that forgets: as few passes as that takes, of about as many images each.
Shape forward_shape(CurvatureKind kind, Shape input, int images_at_once) {
  if (kind != CurvatureKind::kNone || images_at_once < 1) return input;
  const int passes = (input.n + images_at_once - 1) / images_at_once;
  input.n = (input.n + passes - 1) / passes;
  return input;
}

Shape of_batch(Shape output, const Shape& input) {
  output.n = input.n;
  return output;
}

const LossOptions& checked(const LossOptions& options, const Model& model) {
  check_loss_options(options, model.classes());
  return options;
}

}  // namespace

BatchLoss::State::State(const Stream& s, const Model& m, const Shape& shape,
                        const LossOptions& options, CurvatureKind curvature, int at_once)
    : stream(s),
      model(m),
      loss_options(checked(options, model)),
      kind(curvature),
      input(shape),
      plan(model, stream.device(),
           forward_shape(kind, input, chosen_images(model, kind, input, at_once)), plan_mode(kind),
           kind == CurvatureKind::kNone ? 0 : chosen_images(model, kind, input, at_once)),
      loss(stream, loss_options, of_batch(plan.output_shape(), input)),
      scalars(stream.device(), kScalars) {
  if (kind == CurvatureKind::kNone) return;
  const Device& device = stream.device();
  if (kind == CurvatureKind::kHessian) kept = KeptImages(input.n);
  if (loss.kind() == LossKind::kCrossEntropy)
    sampled = DeviceArray<std::int32_t>(device, plan.output_shape().pixels());
  const std::int64_t logits = first(plan.output(), plan.images_at_once()).shape.elements();
  const std::int64_t parts = (input.n + plan.images_at_once() - 1) / plan.images_at_once();
  for (DeviceArray<float>* array : {&r, &hr}) *array = DeviceArray<float>(device, logits);
  forms = DeviceArray<float>(device, kForms * parts);
  ones = DeviceArray<float>(device, parts);
  fill(stream, {ones.data(), parts}, 1.0f);
  const std::size_t bytes = std::max(dot_products_workspace(device, logits, 1),
                                     dot_products_workspace(device, parts, kForms));
  workspace = DeviceArray<float>(device, static_cast<std::int64_t>(bytes / sizeof(float)));
}

BatchLoss::BatchLoss(const Stream& stream, const Model& model, const Shape& input,
                     const LossOptions& loss, CurvatureKind kind, int images_at_once)
    : state_(std::make_unique<State>(stream, model, input, loss, kind, images_at_once)) {}
BatchLoss::~BatchLoss() = default;
BatchLoss::BatchLoss(BatchLoss&&) noexcept = default;
BatchLoss& BatchLoss::operator=(BatchLoss&&) noexcept = default;

const Model& BatchLoss::model() const { return state_->model; }
const Shape& BatchLoss::input_shape() const { return state_->input; }
CurvatureKind BatchLoss::kind() const { return state_->kind; }
const LossOptions& BatchLoss::loss_options() const { return state_->loss_options; }
int BatchLoss::images_at_once() const { return state_->plan.images_at_once(); }
ConstVectorView BatchLoss::theta() const { return state_->theta; }
ConstTensorView BatchLoss::x() const { return state_->x; }
const std::int32_t* BatchLoss::labels() const { return state_->labels; }
ConstTensorView BatchLoss::logits() const {
  if (state_->forgets())
    throw std::logic_error(state_->model.name() + ": logits: the loss takes " +
                           std::to_string(images_at_once()) + " images at once of " +
                           std::to_string(state_->input.n) + ", and keeps nothing of them");
  return state_->plan.output();
}
const float* BatchLoss::loss() const { return state_->loss_value(); }
const float* BatchLoss::denominator() const { return state_->denominator(); }

ConstTensorView BatchLoss::layer_input(int node) const {
  state_->require(CurvatureKind::kGaussNewton, "layer_input");
  return state_->plan.layer_input(node, state_->x);
}

void BatchLoss::linearise(ConstVectorView theta, ConstTensorView x, const std::int32_t* labels) {
  State& s = *state_;
  if (labels == nullptr)
    throw std::invalid_argument(s.model.name() + ": linearise: there are no labels");
  if (!s.forgets())
    s.plan.forward(s.stream, theta, x);
  else
    s.check_linearise(theta, x);
  s.write_denominator(labels, {}, /*accumulate=*/false, s.denominator());
  s.kept.clear();
  s.theta = theta;
  s.x = x;
  s.labels = labels;
}

void BatchLoss::write_denominator(const std::int32_t* labels, const ImageSubset& images,
                                  bool accumulate, float* total) const {
  const State& s = *state_;
  if (labels == nullptr)
    throw std::invalid_argument(s.model.name() + ": write_denominator: there are no labels");
  s.write_denominator(labels, s.checked_images("write_denominator", images), accumulate, total);
}

void BatchLoss::value() {
  State& s = *state_;
  s.require_linearised("value");
  s.for_each_part({}, [&](ImageRange part, bool later) {
    s.loss_gradient(s.forward_pass(part), part, later, {});
  });
}

void BatchLoss::gradient(VectorView grad, bool accumulate) {
  State& s = *state_;
  s.require_linearised("gradient");
  s.for_each_part({}, [&](ImageRange part, bool later) {
    const auto pass = s.forward_pass(part);
    s.loss_gradient(pass, part, later, first(s.plan.output_gradient(), part.count));
    s.plan.backward(s.stream, s.theta, pass.x, accumulate || later, grad, pass.images);
  });
}

void BatchLoss::squared_gradients(VectorView to, bool accumulate) {
  State& s = *state_;
  s.require_linearised("squared_gradients");
  s.for_each_part({}, [&](ImageRange part, bool later) {
    const auto pass = s.forward_pass(part);
    s.loss_gradient(pass, part, later, first(s.plan.output_gradient(), part.count));
    s.plan.squared_gradients(s.stream, s.theta, pass.x, accumulate || later, to, pass.images);
  });
}

void BatchLoss::sampled_gradient(SampledLabels labels, VectorView grad, bool accumulate) {
  State& s = *state_;
  s.sample("sampled_gradient", labels);
  s.for_each_part({}, [&](ImageRange part, bool later) {
    s.fisher(part, true, s.denominator(), {}, first(s.plan.output_gradient(), part.count));
    s.plan.backward(s.stream, s.theta, s.x, accumulate || later, grad, part);
  });
}

std::size_t BatchLoss::memory_bytes() const {
  const State& s = *state_;
  std::size_t bytes = s.plan.memory_bytes() + s.loss.memory_bytes() + s.sampled.bytes();
  for (const DeviceArray<float>* array : {&s.scalars, &s.r, &s.hr, &s.forms, &s.ones, &s.workspace})
    bytes += array->bytes();
  return bytes;
}

}  // namespace curvseg
