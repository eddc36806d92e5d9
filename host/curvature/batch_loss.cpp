#include <stdexcept>
#include <string>

#include "curvseg/curvature.hpp"
#include "curvseg/error.hpp"
#include "curvseg/ops.hpp"
#include "host/nn/loss.hpp"

namespace curvseg {
namespace {

PlanMode plan_mode(CurvatureKind kind) {
  switch (kind) {
    case CurvatureKind::kNone:
      return PlanMode::kTraining;
    case CurvatureKind::kGaussNewton:
      return PlanMode::kCurvature;
    case CurvatureKind::kHessian:
      break;
  }
  return PlanMode::kHessian;
}

const LossOptions& checked(const LossOptions& options, const Model& model) {
  check_loss_options(options, model.classes());
  return options;
}

/// The first images of a batch.
template <class T>
BasicTensorView<T> first(BasicTensorView<T> view, int images) {
  view.shape.n = images;
  return view;
}

}  // namespace

struct BatchLoss::State {
  State(const Stream& s, const Model& m, const Shape& input, const LossOptions& loss_options,
        CurvatureKind curvature)
      : stream(s),
        model(m),
        kind(curvature),
        options(checked(loss_options, model)),
        plan(model, stream.device(), input, plan_mode(curvature)),
        loss(stream, options, plan.output_shape()),
        scalars(stream.device(), kScalars) {
    if (kind == CurvatureKind::kNone) return;
    const std::int64_t logits = plan.output_shape().elements();
    for (DeviceArray<float>* array : {&r_first, &hr})
      *array = DeviceArray<float>(stream.device(), logits);
    if (loss.kind() == LossKind::kCrossEntropy)
      sampled = DeviceArray<std::int32_t>(stream.device(), plan.output_shape().pixels());
    workspace = DeviceArray<float>(
        stream.device(), static_cast<std::int64_t>(
                             dot_products_workspace(stream.device(), logits, 2) / sizeof(float)));
  }

  void require_linearised(const char* what) const {
    if (labels == nullptr)
      throw std::logic_error(model.name() + ": " + what + ": linearise() comes first");
  }
  void require(CurvatureKind least, const char* what) const {
    require_linearised(what);
    if (kind < least)
      throw std::logic_error(model.name() + ": " + what +
                             ": the loss is not made for it, its kind " +
                             (kind == CurvatureKind::kNone ? "is kNone" : "is kGaussNewton"));
  }

  float* loss_value() const { return scalars.data(); }
  float* denominator() const { return scalars.data() + 1; }
  float* part_denominator() const { return scalars.data() + 2; }

  /// hu = H·u on the first images, over the denominator of their labels.
  void part_hessian(ConstTensorView u, TensorView hu) const {
    loss.hessian(stream, first(ConstTensorView(plan.output()), u.shape.n), labels,
                 part_denominator(), u, hu);
  }

  /// Draws a label a pixel from the model.
  void sample(const char* what, const SampledLabels& from) const {
    require(CurvatureKind::kGaussNewton, what);
    if (loss.kind() != LossKind::kCrossEntropy)
      throw std::logic_error(model.name() + ": " + what +
                             ": the mean squared error has no labels to sample; its Fisher matrix "
                             "is the Gauss-Newton matrix");
    if (from.seed == nullptr)
      throw std::invalid_argument(model.name() + ": " + what + ": there is no seed");
    sample_labels(stream, plan.output(), labels, from.seed, from.stream | kLabelStreams,
                  sampled.data());
  }

  static constexpr std::int64_t kScalars = 3;
  /// Random vectors from the same seed have streams with small numbers.
  static constexpr std::uint64_t kLabelStreams = std::uint64_t{1} << 63;

  Stream stream;
  Model model;
  CurvatureKind kind;
  LossOptions options;
  Plan plan;
  Loss loss;
  DeviceArray<float> scalars;
  // Of quadratic_form(): R{logits} along the first direction, H times R, scratch of the products.
  DeviceArray<float> r_first, hr, workspace;
  DeviceArray<std::int32_t> sampled;  // labels
  // Of linearise().
  ConstVectorView theta;
  ConstTensorView x;
  const std::int32_t* labels = nullptr;
};

BatchLoss::BatchLoss(const Stream& stream, const Model& model, const Shape& input,
                     const LossOptions& loss, CurvatureKind kind)
    : state_(std::make_unique<State>(stream, model, input, loss, kind)) {}
BatchLoss::~BatchLoss() = default;
BatchLoss::BatchLoss(BatchLoss&&) noexcept = default;
BatchLoss& BatchLoss::operator=(BatchLoss&&) noexcept = default;

const Model& BatchLoss::model() const { return state_->model; }
const Shape& BatchLoss::input_shape() const { return state_->plan.input_shape(); }
CurvatureKind BatchLoss::kind() const { return state_->kind; }
const LossOptions& BatchLoss::loss_options() const { return state_->options; }
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
  s.theta = theta;
  s.x = x;
  s.labels = labels;
}

void BatchLoss::value() {
  State& s = *state_;
  s.require_linearised("value");
  s.loss.gradient(s.stream, s.plan.output(), s.labels, s.denominator(), s.loss_value(), {});
}

void BatchLoss::gradient(VectorView grad, bool accumulate) {
  State& s = *state_;
  s.require_linearised("gradient");
  s.loss.gradient(s.stream, s.plan.output(), s.labels, s.denominator(), s.loss_value(),
                  s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, grad);
}

void BatchLoss::squared_gradients(VectorView to, bool accumulate) {
  State& s = *state_;
  s.require_linearised("squared_gradients");
  s.loss.gradient(s.stream, s.plan.output(), s.labels, s.denominator(), s.loss_value(),
                  s.plan.output_gradient());
  s.plan.squared_gradients(s.stream, s.theta, s.x, accumulate, to);
}

void BatchLoss::ggnvp(ConstVectorView v, VectorView product, bool accumulate) {
  State& s = *state_;
  s.require(CurvatureKind::kGaussNewton, "ggnvp");
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  s.loss.hessian(s.stream, s.plan.output(), s.labels, s.denominator(), s.plan.r_output(),
                 s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, product);
}

void BatchLoss::hvp(ConstVectorView v, VectorView product, bool accumulate) {
  State& s = *state_;
  s.require(CurvatureKind::kHessian, "hvp");
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  s.loss.gradient(s.stream, s.plan.output(), s.labels, s.denominator(), s.loss_value(),
                  s.plan.repeated_output_gradient());
  s.loss.hessian(s.stream, s.plan.output(), s.labels, s.denominator(), s.plan.r_output(),
                 s.plan.r_output_gradient());
  s.plan.r_backward(s.stream, s.theta, v, s.x, accumulate, product);
}

void BatchLoss::empirical_fisher_vp(ConstVectorView v, VectorView product, bool accumulate) {
  State& s = *state_;
  s.require(CurvatureKind::kGaussNewton, "empirical_fisher_vp");
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  s.loss.fisher(s.stream, s.plan.output(), s.labels, nullptr, s.denominator(), s.plan.r_output(),
                s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, product);
}

void BatchLoss::fisher_vp(ConstVectorView v, SampledLabels labels, VectorView product,
                          bool accumulate) {
  State& s = *state_;
  s.sample("fisher_vp", labels);
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  s.loss.fisher(s.stream, s.plan.output(), s.labels, s.sampled.data(), s.denominator(),
                s.plan.r_output(), s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, product);
}

void BatchLoss::sampled_gradient(SampledLabels labels, VectorView grad, bool accumulate) {
  State& s = *state_;
  s.sample("sampled_gradient", labels);
  s.loss.fisher(s.stream, s.plan.output(), s.labels, s.sampled.data(), s.denominator(), {},
                s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, grad);
}

void BatchLoss::quadratic_form(std::span<const ConstVectorView> directions, int images,
                               float* form) {
  State& s = *state_;
  s.require(CurvatureKind::kGaussNewton, "quadratic_form");
  if (directions.empty() || directions.size() > 2)
    throw std::invalid_argument(s.model.name() + ": quadratic_form: there are " +
                                std::to_string(directions.size()) +
                                " directions, it takes one or two");
  if (images < 1 || images > s.x.shape.n)
    throw std::invalid_argument(s.model.name() + ": quadratic_form: " + std::to_string(images) +
                                " images of a batch of " + std::to_string(s.x.shape.n));
  Shape part = s.plan.output_shape();
  part.n = images;
  s.loss.denominator(s.stream, s.labels, part.pixels(), s.part_denominator());
  const std::int64_t size = part.elements();
  const TensorView r_first{s.r_first.data(), part}, hr{s.hr.data(), part};
  const ConstVectorView flat_first{s.r_first.data(), size}, flat_hr{s.hr.data(), size};
  const Workspace scratch{s.workspace.data(), s.workspace.bytes()};

  s.plan.r_forward(s.stream, s.theta, directions[0], s.x, images);
  copy_tensor(s.stream, first(s.plan.r_output(), images), 1.0f, /*accumulate=*/false, r_first);
  s.part_hessian(r_first, hr);
  dot_products(s.stream, {{flat_first, flat_hr}}, scratch, form);
  if (directions.size() == 1) return;
  s.plan.r_forward(s.stream, s.theta, directions[1], s.x, images);
  const TensorView r_second = first(s.plan.r_output(), images);
  s.part_hessian(r_second, hr);
  dot_products(s.stream, {{flat_first, flat_hr}}, scratch, form + 1);
  // Its place is free now, and it may have gaps where it lies.
  copy_tensor(s.stream, r_second, 1.0f, /*accumulate=*/false, r_first);
  dot_products(s.stream, {{flat_first, flat_hr}}, scratch, form + 2);
}

std::size_t BatchLoss::memory_bytes() const {
  const State& s = *state_;
  return s.plan.memory_bytes() + s.loss.memory_bytes() + s.scalars.bytes() + s.r_first.bytes() +
         s.hr.bytes() + s.workspace.bytes() + s.sampled.bytes();
}

}  // namespace curvseg
