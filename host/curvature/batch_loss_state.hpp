// What a BatchLoss owns, and the passes over parts of its batch that all it computes is made of.
#pragma once

#include <stdexcept>
#include <string>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "host/curvature/image_runs.hpp"
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

  /// What a forward pass would refuse, where none is made yet.
  void check_linearise(const ConstVectorView& of_theta, const ConstTensorView& images) const {
    const auto refuse = [&](const std::string& why) {
      throw std::invalid_argument(model.name() + ": linearise: " + why);
    };
    if (of_theta.size != model.parameter_count())
      refuse("theta has " + std::to_string(of_theta.size) + " elements, the model has " +
             std::to_string(model.parameter_count()));
    if (!(images.shape == input))
      refuse("the images are " + to_string(images.shape) + ", the loss is for " + to_string(input));
  }
  /// Whether the plan is of some images of the batch, each with its forward pass right before it is
  /// needed: for kNone, which keeps nothing of it afterwards.
  bool forgets() const { return plan.input_shape().n < input.n; }
  /// The images that a forward pass was on, and which of them are meant.
  struct ForwardPass {
    ConstTensorView x;
    ImageRange images;
  };
  /// That of a part of the batch.
  ForwardPass forward_pass(ImageRange part) {
    if (!forgets()) return {x, part};
    const ForwardPass pass{part_of(x, part), {0, part.count}};
    plan.forward(stream, theta, pass.x);
    return pass;
  }
  const std::int32_t* labels_of(ImageRange images) const {
    const Shape& shape = plan.output_shape();
    return labels + images.first * (shape.pixels() / shape.n);
  }

  /// Calls f(part, whether one came before) for parts of `images`, as many images at once as the
  /// plan takes.
  template <class F>
  void for_each_part(const ImageSubset& images, const F& f) const {
    bool later = false;
    for_each_run(images, input.n, plan.images_at_once(), [&](ImageRange part) {
      f(part, later);
      later = true;
    });
  }

  ImageSubset checked_images(const char* what, const ImageSubset& images) const {
    check_subset(model.name(), what, images, input.n);
    return images;
  }
  void check_vectors(const char* what, const ConstVectorView& v, const VectorView& product) const {
    const std::int64_t size = model.parameter_count();
    if (v.size != size || product.size != size)
      throw std::invalid_argument(model.name() + ": " + what + ": the direction has " +
                                  std::to_string(v.size) + " elements, the product " +
                                  std::to_string(product.size) + ", the model has " +
                                  std::to_string(size));
  }
  /// total[0] (+)= the denominator of labels of a batch, those of checked images.
  void write_denominator(const std::int32_t* from, const ImageSubset& images, bool accumulate,
                         float* total) const {
    const Shape& shape = plan.output_shape();
    const std::int64_t pixels = shape.pixels() / shape.n;
    for_each_run(images, input.n, input.n, [&](ImageRange run) {
      loss.denominator(stream, from + run.first * pixels, run.count * pixels, total, accumulate);
      accumulate = true;
    });
  }
  /// Of the labels of checked images.
  const float* own_denominator(const ImageSubset& images) const {
    if (covers(images, input.n)) return denominator();
    write_denominator(labels, images, /*accumulate=*/false, part_denominator());
    return part_denominator();
  }

  /// dL/d logits of a part into `dlogits`, its share of the loss (on)to `value`.
  void loss_gradient(ImageRange part, const float* total, float* value, bool accumulate,
                     const TensorView& dlogits) const {
    loss.gradient(stream, logits(part), labels_of(part), total, value, dlogits, accumulate);
  }
  /// The same over the batch's own denominator, of a part with this forward pass.
  void loss_gradient(const ForwardPass& pass, ImageRange part, bool accumulate,
                     const TensorView& dlogits) const {
    loss.gradient(stream, logits(pass.images), labels_of(part), denominator(), loss_value(),
                  dlogits, accumulate);
  }

  /// The gradients that R-backward passes over these images read, and those of images before and
  /// between them. Over the images' own denominator they may be there already; another's may change
  /// unseen.
  void keep_gradients(const ImageSubset& images, const float* total, bool is_own) {
    if (is_own && kept.is(images)) return;
    kept.clear();
    const ImageRange all{0, last_image(images, input.n) + 1};
    loss_gradient(all, total, scratch_loss(), /*accumulate=*/false,
                  first(plan.repeated_output_gradient(), all.count));
    plan.keep_gradients(stream, theta, x, all);
    if (is_own) kept.set(images);
  }

  /// product (+)= Jᵀ·M·J·v, `middle(part, denominator, u, mu)` writing mu = M·u.
  template <class Middle>
  void jacobian_product(const char* what, const ConstVectorView& v, const VectorView& product,
                        const ProductOptions& how, const Middle& middle) {
    require(CurvatureKind::kGaussNewton, what);
    check_vectors(what, v, product);
    const ImageSubset images = checked_images(what, how.images);
    const float* total = how.denominator ? how.denominator : own_denominator(images);
    for_each_part(images, [&](ImageRange part, bool later) {
      plan.r_forward(stream, theta, v, x, part);
      middle(part, total, first(ConstTensorView(plan.r_output()), part.count),
             first(plan.output_gradient(), part.count));
      plan.backward(stream, theta, x, how.accumulate || later, product, part);
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
  Shape input;  // the batch
  Plan plan;    // of all of it, unless it forgets
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
  KeptImages kept;  // of keep_gradients()
};

}  // namespace curvseg
