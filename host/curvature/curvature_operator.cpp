#include <cmath>
#include <stdexcept>
#include <string>

#include "curvseg/curvature.hpp"
#include "curvseg/error.hpp"
#include "curvseg/ops.hpp"

namespace curvseg {

struct CurvatureOperator::State {
  State(const Stream& s, const Model& m, const Shape& input, const CurvatureLoss& options,
        CurvatureKind kind)
      : stream(s),
        model(m),
        plan(model, stream.device(), input,
             kind == CurvatureKind::kHessian ? PlanMode::kHessian : PlanMode::kCurvature),
        label_smoothing(options.label_smoothing),
        scalars(stream.device(), 2),
        workspace_bytes(loss_workspace(stream.device(), plan.output_shape())),
        workspace(stream.device(), static_cast<std::int64_t>(workspace_bytes / sizeof(float))) {
    check(options);
    if (options.class_weights.empty()) return;
    const auto count = static_cast<std::int64_t>(options.class_weights.size());
    class_weights = DeviceArray<float>(stream.device(), count);
    class_weights.upload(stream, options.class_weights.data(), count);
    stream.synchronise();  // the options may go away
  }

  void check(const CurvatureLoss& options) const {
    const std::size_t weights = options.class_weights.size();
    if (weights > 0 && weights != static_cast<std::size_t>(model.classes()))
      throw InputError(model.name() + ": curvature: there are " + std::to_string(weights) +
                       " class weights for " + std::to_string(model.classes()) + " classes");
    for (const float weight : options.class_weights)
      if (!(weight >= 0.0f && std::isfinite(weight)))
        throw InputError(model.name() + ": curvature: a class weight is " + std::to_string(weight) +
                         ", it must be finite and at least 0");
    if (!(options.label_smoothing >= 0.0f && options.label_smoothing <= 1.0f))
      throw InputError(model.name() + ": curvature: label smoothing is " +
                       std::to_string(options.label_smoothing) + ", it must lie in [0, 1]");
  }

  void require_linearised(const char* what) const {
    if (labels == nullptr)
      throw std::logic_error(model.name() + ": " + what + ": linearise() comes first");
  }

  CrossEntropyOptions options() const {
    return {{class_weights.data(), class_weights.size()}, label_smoothing};
  }
  Workspace scratch() const { return {workspace.data(), workspace_bytes}; }
  float* loss() const { return scalars.data(); }
  float* denominator() const { return scalars.data() + 1; }

  Stream stream;
  Model model;
  Plan plan;
  float label_smoothing;
  DeviceArray<float> class_weights;
  DeviceArray<float> scalars;  // loss, denominator
  std::size_t workspace_bytes;
  DeviceArray<float> workspace;
  // Of linearise().
  ConstVectorView theta;
  ConstTensorView x;
  const std::int32_t* labels = nullptr;
};

CurvatureOperator::CurvatureOperator(const Stream& stream, const Model& model, const Shape& input,
                                     const CurvatureLoss& loss, CurvatureKind kind)
    : state_(std::make_unique<State>(stream, model, input, loss, kind)) {}
CurvatureOperator::~CurvatureOperator() = default;
CurvatureOperator::CurvatureOperator(CurvatureOperator&&) noexcept = default;
CurvatureOperator& CurvatureOperator::operator=(CurvatureOperator&&) noexcept = default;

void CurvatureOperator::linearise(ConstVectorView theta, ConstTensorView x,
                                  const std::int32_t* labels) {
  State& s = *state_;
  if (labels == nullptr)
    throw std::invalid_argument(s.model.name() + ": linearise: there are no labels");
  s.plan.forward(s.stream, theta, x);
  label_weight(s.stream, labels, s.plan.output_shape().pixels(), s.plan.output_shape().c,
               s.options(), /*accumulate=*/false, s.scratch(), s.denominator());
  s.theta = theta;
  s.x = x;
  s.labels = labels;
}

const float* CurvatureOperator::loss() const { return state_->loss(); }
const float* CurvatureOperator::denominator() const { return state_->denominator(); }

void CurvatureOperator::gradient(VectorView grad, bool accumulate) {
  State& s = *state_;
  s.require_linearised("gradient");
  softmax_cross_entropy(s.stream, s.plan.output(), s.labels, s.denominator(), s.options(),
                        /*accumulate=*/false, s.scratch(), s.loss(), s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, grad);
}

void CurvatureOperator::ggnvp(ConstVectorView v, VectorView product, bool accumulate) {
  State& s = *state_;
  s.require_linearised("ggnvp");
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  softmax_cross_entropy_hessian(s.stream, s.plan.output(), s.labels, s.denominator(), s.options(),
                                s.plan.r_output(), s.plan.output_gradient());
  s.plan.backward(s.stream, s.theta, s.x, accumulate, product);
}

void CurvatureOperator::hvp(ConstVectorView v, VectorView product, bool accumulate) {
  State& s = *state_;
  s.require_linearised("hvp");
  const TensorView gradient = s.plan.repeated_output_gradient();
  const TensorView r_gradient = s.plan.r_output_gradient();
  s.plan.r_forward(s.stream, s.theta, v, s.x);
  softmax_cross_entropy(s.stream, s.plan.output(), s.labels, s.denominator(), s.options(),
                        /*accumulate=*/false, s.scratch(), s.loss(), gradient);
  softmax_cross_entropy_hessian(s.stream, s.plan.output(), s.labels, s.denominator(), s.options(),
                                s.plan.r_output(), r_gradient);
  s.plan.r_backward(s.stream, s.theta, v, s.x, accumulate, product);
}

std::size_t CurvatureOperator::memory_bytes() const {
  const State& s = *state_;
  return s.plan.memory_bytes() + s.class_weights.bytes() + s.scalars.bytes() + s.workspace.bytes();
}

}  // namespace curvseg
