// What a BatchLoss owns, and the passes over parts of its batch that all it computes is made of.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "host/nn/loss.hpp"

namespace curvseg {

/// Those images of a batch.
template <class T>
BasicTensorView<T> part_of(BasicTensorView<T> view, ImageRange images) {
  view.data += images.first * (view.shape.pixels() / view.shape.n) * view.ld;
  view.shape.n = images.count;
  return view;
}

/// The beginning of what holds several images.
template <class T>
BasicTensorView<T> first(BasicTensorView<T> view, int images) {
  view.shape.n = images;
  return view;
}

struct BatchLoss::State {
  State(const Stream& stream, const Model& model, const Shape& input, const LossOptions& options,
        CurvatureKind kind, int images_at_once);

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
  float* scratch_loss() const { return scalars.data() + 3; }

  ConstTensorView logits(ImageRange images) const {
    return part_of(ConstTensorView(plan.output()), images);
  }
  const std::int32_t* labels_of(ImageRange images) const {
    const Shape& shape = plan.output_shape();
    return labels + images.first * (shape.pixels() / shape.n);
  }

  /// Calls f(part) for the first `images`, as many at once as the plan takes.
  template <class F>
  void for_each_part(int images, const F& f) const {
    for (int begin = 0; begin < images; begin += plan.images_at_once())
      f(ImageRange{begin, std::min(plan.images_at_once(), images - begin)});
  }

  /// What a product is over.
  struct Subset {
    int images;
    const float* denominator;
  };
  Subset subset(const char* what, int images, const float* total) const {
    const int all = plan.input_shape().n;
    if (images < 0 || images > all)
      throw std::invalid_argument(model.name() + ": " + what + ": " + std::to_string(images) +
                                  " images of a batch of " + std::to_string(all));
    if (images == 0) images = all;
    if (total != nullptr) return {images, total};
    if (images == all) return {images, denominator()};
    loss.denominator(stream, labels, first(plan.output(), images).shape.pixels(),
                     part_denominator());
    return {images, part_denominator()};
  }

  /// dL/d logits of a part into `dlogits`, its share of the loss onto `value`.
  void loss_gradient(ImageRange part, const float* total, float* value,
                     const TensorView& dlogits) const {
    loss.gradient(stream, logits(part), labels_of(part), total, value, dlogits,
                  /*accumulate=*/part.first > 0);
  }

  /// The gradients that R-backward passes over these images read, unless they are there already.
  void keep_gradients(const Subset& on, bool own_denominator) {
    if (own_denominator && kept_images == on.images) return;
    const ImageRange all{0, on.images};
    loss_gradient(all, on.denominator, scratch_loss(),
                  first(plan.repeated_output_gradient(), on.images));
    plan.keep_gradients(stream, theta, x, all);
    kept_images = own_denominator ? on.images : 0;  // another's may change unseen
  }

  /// product (+)= Jᵀ·M·J·v, `middle(part, denominator, u, mu)` writing mu = M·u.
  template <class Middle>
  void jacobian_product(const char* what, const ConstVectorView& v, const VectorView& product,
                        const ProductOptions& how, const Middle& middle) {
    require(CurvatureKind::kGaussNewton, what);
    const Subset on = subset(what, how.images, how.denominator);
    for_each_part(on.images, [&](ImageRange part) {
      plan.r_forward(stream, theta, v, x, part);
      middle(part, on.denominator, first(ConstTensorView(plan.r_output()), part.count),
             first(plan.output_gradient(), part.count));
      plan.backward(stream, theta, x, how.accumulate || part.first > 0, product, part);
    });
  }

  void hessian(ImageRange part, const float* total, const ConstTensorView& u,
               const TensorView& hu) const {
    loss.hessian(stream, logits(part), labels_of(part), total, u, hu);
  }
  /// With sampled labels or the given ones.
  void fisher(ImageRange part, bool use_sampled, const float* total, const ConstTensorView& u,
              const TensorView& fu) const {
    const std::int32_t* own = labels_of(part);
    const std::int32_t* target = use_sampled ? sampled.data() + (own - labels) : nullptr;
    loss.fisher(stream, logits(part), own, target, total, u, fu);
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

  void dot(const ConstTensorView& a, const ConstTensorView& b, float* result) const {
    const std::int64_t size = a.shape.elements();
    dot_products(stream, {{{a.data, size}, {b.data, size}}}, {workspace.data(), workspace.bytes()},
                 result);
  }

  static constexpr std::int64_t kScalars = 4;
  static constexpr int kForms = 3;
  /// Random vectors from the same seed have streams with small numbers.
  static constexpr std::uint64_t kLabelStreams = std::uint64_t{1} << 63;

  Stream stream;
  Model model;
  LossOptions loss_options;
  CurvatureKind kind;
  Plan plan;
  Loss loss;
  DeviceArray<float> scalars;
  DeviceArray<std::int32_t> sampled;  // labels
  // Of quadratic_form(), for a part of the batch: R{logits} without gaps, H times R; the forms of
  // all parts and what adds them up; scratch of the products.
  DeviceArray<float> r, hr, forms, ones, workspace;
  // Of linearise().
  ConstVectorView theta;
  ConstTensorView x;
  const std::int32_t* labels = nullptr;
  int kept_images = 0;  // of keep_gradients(), over the denominator of their labels
};

}  // namespace curvseg
