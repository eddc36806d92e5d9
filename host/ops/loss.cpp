// Losses and metrics: checks, then kernels/loss and kernels/metrics.
#include <algorithm>

#include "host/ops/check.hpp"

namespace curvseg {
namespace {

void check_weights(std::string_view op, const CrossEntropyOptions& options, int classes) {
  if (options.class_weights.data && options.class_weights.size != classes)
    refuse(op, "there are " + std::to_string(options.class_weights.size) + " class weights for " +
                   std::to_string(classes) + " classes");
  if (!(options.label_smoothing >= 0.0f && options.label_smoothing <= 1.0f))
    refuse(op, "label smoothing is " + std::to_string(options.label_smoothing) +
                   ", it must lie in [0, 1]");
}

void check_gradient(std::string_view op, const Shape& x, const TensorView& dx) {
  if (!dx.data) return;
  check_tensor(op, "the gradient", dx);
  check_same_shape(op, "the gradient", dx.shape, "x", x);
}

}  // namespace

void label_weight(const Stream& stream, const std::int32_t* labels, std::int64_t pixels,
                  int classes, const CrossEntropyOptions& options, bool accumulate,
                  Workspace workspace, float* total) {
  constexpr const char* kOp = "label_weight";
  check_weights(kOp, options, classes);
  require(total, kOp, "there is no memory for the total");
  check_elements(kOp, "labels", pixels);
  require(labels || pixels == 0, kOp, "there are no labels");
  LabelWeight p{pixels, classes, labels, options.class_weights.data, total, accumulate, nullptr};
  const Kernels& kernels = kernels_of(stream);
  check_bytes(kOp, workspace, kernels.label_weight_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  const CurrentDevice current(stream.device());
  kernels.label_weight(stream.native(), p);
}

namespace {

/// What says where the loss stands; checked, but for what it writes.
SoftmaxCrossEntropy cross_entropy_at(std::string_view op, const ConstTensorView& logits,
                                     const std::int32_t* labels, const float* denominator,
                                     const CrossEntropyOptions& options) {
  check_tensor(op, "logits", logits);
  check_weights(op, options, logits.shape.c);
  require(labels || logits.shape.pixels() == 0, op, "there are no labels");
  require(denominator, op, "there is no memory for the denominator");
  SoftmaxCrossEntropy p;
  p.pixels = logits.shape.pixels();
  p.classes = logits.shape.c;
  p.x = logits.data;
  p.ldx = logits.ld;
  p.labels = labels;
  p.class_weights = options.class_weights.data;
  p.label_smoothing = options.label_smoothing;
  p.denominator = denominator;
  return p;
}

void check_like_logits(std::string_view op, const char* name, const ConstTensorView& tensor,
                       const Shape& logits) {
  check_tensor(op, name, tensor);
  check_same_shape(op, name, tensor.shape, "logits", logits);
}

}  // namespace

void softmax_cross_entropy(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                           const float* denominator, const CrossEntropyOptions& options,
                           bool accumulate, Workspace workspace, float* loss, TensorView dlogits) {
  constexpr const char* kOp = "softmax_cross_entropy";
  SoftmaxCrossEntropy p = cross_entropy_at(kOp, logits, labels, denominator, options);
  check_gradient(kOp, logits.shape, dlogits);
  require(loss, kOp, "there is no memory for the loss");
  p.loss = loss;
  p.dx = dlogits.data;
  p.ld_dx = dlogits.ld;
  p.accumulate = accumulate;
  const Kernels& kernels = kernels_of(stream);
  check_bytes(kOp, workspace, kernels.softmax_cross_entropy_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  const CurrentDevice current(stream.device());
  kernels.softmax_cross_entropy(stream.native(), p);
}

namespace {

/// All but the target.
MeanSquaredError squared_error(const ConstTensorView& x, const float* denominator, bool accumulate,
                               float* loss, const TensorView& dx) {
  constexpr const char* kOp = "mean_squared_error";
  check_tensor(kOp, "x", x);
  check_gradient(kOp, x.shape, dx);
  require(denominator && loss, kOp, "there is no memory for the denominator or the loss");
  MeanSquaredError p;
  p.pixels = x.shape.pixels();
  p.channels = x.shape.c;
  p.x = x.data;
  p.ldx = x.ld;
  p.denominator = denominator;
  p.loss = loss;
  p.dx = dx.data;
  p.ld_dx = dx.ld;
  p.accumulate = accumulate;
  return p;
}

void run(const Stream& stream, MeanSquaredError p, Workspace workspace) {
  const Kernels& kernels = kernels_of(stream);
  check_bytes("mean_squared_error", workspace, kernels.mean_squared_error_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  const CurrentDevice current(stream.device());
  kernels.mean_squared_error(stream.native(), p);
}

}  // namespace

void mean_squared_error(const Stream& stream, ConstTensorView x, ConstTensorView target,
                        const float* denominator, bool accumulate, Workspace workspace, float* loss,
                        TensorView dx) {
  constexpr const char* kOp = "mean_squared_error";
  MeanSquaredError p = squared_error(x, denominator, accumulate, loss, dx);
  check_tensor(kOp, "target", target);
  check_same_shape(kOp, "target", target.shape, "x", x.shape);
  p.target = target.data;
  p.ld_target = target.ld;
  run(stream, p, workspace);
}

void mean_squared_error(const Stream& stream, ConstTensorView x, const std::int32_t* labels,
                        const float* denominator, bool accumulate, Workspace workspace, float* loss,
                        TensorView dx) {
  MeanSquaredError p = squared_error(x, denominator, accumulate, loss, dx);
  require(labels || x.shape.pixels() == 0, "mean_squared_error", "there are no labels");
  p.labels = labels;
  run(stream, p, workspace);
}

void softmax_cross_entropy_hessian(const Stream& stream, ConstTensorView logits,
                                   const std::int32_t* labels, const float* denominator,
                                   const CrossEntropyOptions& options, ConstTensorView u,
                                   TensorView hu) {
  constexpr const char* kOp = "softmax_cross_entropy_hessian";
  SoftmaxCrossEntropyHessian p;
  p.at = cross_entropy_at(kOp, logits, labels, denominator, options);
  check_like_logits(kOp, "u", u, logits.shape);
  check_like_logits(kOp, "hu", hu, logits.shape);
  p.u = u.data;
  p.ldu = u.ld;
  p.hu = hu.data;
  p.ld_hu = hu.ld;
  const CurrentDevice current(stream.device());
  kernels_of(stream).softmax_cross_entropy_hessian(stream.native(), p);
}

void sample_labels(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                   const unsigned long long* seed, std::uint64_t seed_stream,
                   std::int32_t* sampled) {
  constexpr const char* kOp = "sample_labels";
  check_tensor(kOp, "logits", logits);
  const bool empty = logits.shape.pixels() == 0;
  require(labels || empty, kOp, "there are no labels");
  require(sampled || empty, kOp, "there is no memory for the sampled labels");
  require(seed, kOp, "there is no seed");
  SampleLabels p;
  p.at.pixels = logits.shape.pixels();
  p.at.classes = logits.shape.c;
  p.at.x = logits.data;
  p.at.ldx = logits.ld;
  p.at.labels = labels;
  p.seed = seed;
  p.stream = seed_stream;
  p.sampled = sampled;
  const CurrentDevice current(stream.device());
  kernels_of(stream).sample_labels(stream.native(), p);
}

void softmax_cross_entropy_fisher(const Stream& stream, ConstTensorView logits,
                                  const std::int32_t* labels, const std::int32_t* sampled,
                                  const float* denominator, const CrossEntropyOptions& options,
                                  ConstTensorView u, TensorView fu) {
  constexpr const char* kOp = "softmax_cross_entropy_fisher";
  SoftmaxCrossEntropyFisher p;
  p.at = cross_entropy_at(kOp, logits, labels, denominator, options);
  if (u.data) check_like_logits(kOp, "u", u, logits.shape);
  check_like_logits(kOp, "fu", fu, logits.shape);
  p.sampled = sampled;
  p.u = u.data;
  p.ldu = u.ld;
  p.fu = fu.data;
  p.ld_fu = fu.ld;
  const CurrentDevice current(stream.device());
  kernels_of(stream).softmax_cross_entropy_fisher(stream.native(), p);
}

void mean_squared_error_fisher(const Stream& stream, ConstTensorView x, const std::int32_t* labels,
                               const float* denominator, ConstTensorView u, TensorView fu) {
  constexpr const char* kOp = "mean_squared_error_fisher";
  check_tensor(kOp, "x", x);
  check_tensor(kOp, "u", u);
  check_tensor(kOp, "fu", fu);
  check_same_shape(kOp, "u", u.shape, "x", x.shape);
  check_same_shape(kOp, "fu", fu.shape, "x", x.shape);
  require(labels || x.shape.pixels() == 0, kOp, "there are no labels");
  require(denominator, kOp, "there is no memory for the denominator");
  const CurrentDevice current(stream.device());
  kernels_of(stream).mean_squared_error_fisher(
      stream.native(), {x.shape.pixels(), x.shape.c, x.data, x.ld, labels, denominator, u.data,
                        u.ld, fu.data, fu.ld});
}

void mean_squared_error_hessian(const Stream& stream, const std::int32_t* labels,
                                const float* denominator, ConstTensorView u, TensorView hu) {
  constexpr const char* kOp = "mean_squared_error_hessian";
  check_tensor(kOp, "u", u);
  check_tensor(kOp, "hu", hu);
  check_same_shape(kOp, "hu", hu.shape, "u", u.shape);
  require(denominator, kOp, "there is no memory for the denominator");
  const CurrentDevice current(stream.device());
  kernels_of(stream).mean_squared_error_hessian(
      stream.native(),
      {u.shape.pixels(), u.shape.c, u.data, u.ld, denominator, hu.data, hu.ld, labels});
}

std::size_t loss_workspace(const Device& device, const Shape& logits) {
  check_shape("loss_workspace", "logits", logits);
  const Kernels& kernels = *device.target().kernels;
  LabelWeight weight;
  weight.pixels = logits.pixels();
  weight.classes = logits.c;
  SoftmaxCrossEntropy entropy;
  entropy.pixels = logits.pixels();
  entropy.classes = logits.c;
  MeanSquaredError error;
  error.pixels = logits.pixels();
  error.channels = logits.c;
  const std::int64_t floats = std::max({kernels.label_weight_workspace(weight),
                                        kernels.softmax_cross_entropy_workspace(entropy),
                                        kernels.mean_squared_error_workspace(error)});
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void argmax(const Stream& stream, ConstTensorView logits, std::int32_t* label) {
  check_tensor("argmax", "logits", logits);
  require(label || logits.shape.pixels() == 0, "argmax", "there is no memory for the labels");
  if (logits.shape.c < 1) refuse("argmax", "logits has no channels");
  const CurrentDevice current(stream.device());
  kernels_of(stream).argmax(stream.native(),
                            {logits.shape.pixels(), logits.shape.c, logits.data, logits.ld, label});
}

void confusion_matrix(const Stream& stream, const std::int32_t* truth,
                      const std::int32_t* prediction, std::int64_t pixels, int classes,
                      unsigned long long* matrix) {
  require(classes > 0, "confusion_matrix", "there are no classes");
  check_elements("confusion_matrix", "truth", pixels);
  require(matrix && ((truth && prediction) || pixels == 0), "confusion_matrix",
          "an argument has no memory");
  const CurrentDevice current(stream.device());
  kernels_of(stream).confusion_matrix(stream.native(),
                                      {pixels, classes, truth, prediction, matrix});
}

}  // namespace curvseg
