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
int chosen_images(CurvatureKind kind, const Shape& input, int asked) {
  if (kind == CurvatureKind::kNone || asked != 0) return asked;
  return (input.n + 1) / 2;
}

const LossOptions& checked(const LossOptions& options, const Model& model) {
  check_loss_options(options, model.classes());
  return options;
}

}  // namespace

BatchLoss::State::State(const Stream& s, const Model& m, const Shape& input,
                        const LossOptions& options, CurvatureKind curvature, int at_once)
    : stream(s),
      model(m),
      loss_options(checked(options, model)),
      kind(curvature),
      plan(model, stream.device(), input, plan_mode(curvature),
           chosen_images(curvature, input, at_once)),
      loss(stream, loss_options, plan.output_shape()),
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
const Shape& BatchLoss::input_shape() const { return state_->plan.input_shape(); }
CurvatureKind BatchLoss::kind() const { return state_->kind; }
const LossOptions& BatchLoss::loss_options() const { return state_->loss_options; }
int BatchLoss::images_at_once() const { return state_->plan.images_at_once(); }
ConstVectorView BatchLoss::theta() const { return state_->theta; }
ConstTensorView BatchLoss::x() const { return state_->x; }
const std::int32_t* BatchLoss::labels() const { return state_->labels; }
ConstTensorView BatchLoss::logits() const { return state_->plan.output(); }
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
  s.plan.forward(s.stream, theta, x);
  s.loss.denominator(s.stream, labels, s.plan.output_shape().pixels(), s.denominator());
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
    s.loss_gradient(part, s.denominator(), s.loss_value(), later, {});
  });
}

void BatchLoss::gradient(VectorView grad, bool accumulate) {
  State& s = *state_;
  s.require_linearised("gradient");
  s.for_each_part({}, [&](ImageRange part, bool later) {
    s.loss_gradient(part, s.denominator(), s.loss_value(), later,
                    first(s.plan.output_gradient(), part.count));
    s.plan.backward(s.stream, s.theta, s.x, accumulate || later, grad, part);
  });
}

void BatchLoss::squared_gradients(VectorView to, bool accumulate) {
  State& s = *state_;
  s.require_linearised("squared_gradients");
  s.for_each_part({}, [&](ImageRange part, bool later) {
    s.loss_gradient(part, s.denominator(), s.loss_value(), later,
                    first(s.plan.output_gradient(), part.count));
    s.plan.squared_gradients(s.stream, s.theta, s.x, accumulate || later, to, part);
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
