// Products of a BatchLoss with its curvature. Each is over parts of the batch, one after the other:
// what a part needs beyond the stored activations lies in the same memory for all.
#include <array>

#include "host/curvature/batch_loss_state.hpp"

namespace curvseg {

void BatchLoss::ggnvp(ConstVectorView v, VectorView product, const ProductOptions& options) {
  state_->jacobian_product(
      "ggnvp", v, product, options,
      [&](auto part, auto total, auto u, auto hu) { state_->hessian(part, total, u, hu); });
}

void BatchLoss::hvp(ConstVectorView v, VectorView product, const ProductOptions& options) {
  State& s = *state_;
  s.require(CurvatureKind::kLowMemoryHessian, "hvp");
  s.check_vectors("hvp", v, product);
  const ImageSubset images = s.checked_images("hvp", options.images);
  const bool keeps = s.kind == CurvatureKind::kHessian, is_own = options.denominator == nullptr;
  const float* total = is_own ? s.own_denominator(images) : options.denominator;
  if (keeps) s.keep_gradients(images, total, is_own);
  s.for_each_part(images, [&](ImageRange part, bool later) {
    s.plan.r_forward(s.stream, s.theta, v, s.x, part);
    if (!keeps)
      s.loss_gradient(part, total, s.scratch_loss(), later,
                      first(s.plan.repeated_output_gradient(), part.count));
    s.hessian(part, total, first(ConstTensorView(s.plan.r_output()), part.count),
              first(s.plan.r_output_gradient(), part.count));
    s.plan.r_backward(s.stream, s.theta, v, s.x, options.accumulate || later, product, part);
  });
}

void BatchLoss::empirical_fisher_vp(ConstVectorView v, VectorView product,
                                    const ProductOptions& options) {
  state_->jacobian_product(
      "empirical_fisher_vp", v, product, options,
      [&](auto part, auto total, auto u, auto fu) { state_->fisher(part, false, total, u, fu); });
}

void BatchLoss::fisher_vp(ConstVectorView v, SampledLabels labels, VectorView product,
                          const ProductOptions& options) {
  state_->sample("fisher_vp", labels);
  state_->jacobian_product(
      "fisher_vp", v, product, options,
      [&](auto part, auto total, auto u, auto fu) { state_->fisher(part, true, total, u, fu); });
}

void BatchLoss::quadratic_form(std::span<const ConstVectorView> directions, int images,
                               float* form) {
  State& s = *state_;
  s.require(CurvatureKind::kGaussNewton, "quadratic_form");
  if (directions.empty() || directions.size() > 2)
    throw std::invalid_argument(s.model.name() + ": quadratic_form: there are " +
                                std::to_string(directions.size()) +
                                " directions, it takes one or two");
  if (images < 1)
    throw std::invalid_argument(s.model.name() + ": quadratic_form: " + std::to_string(images) +
                                " images of a batch of " + std::to_string(s.x.shape.n));
  const float* total = s.own_denominator(s.checked_images("quadratic_form", images));
  const std::int64_t parts = s.ones.size();
  const auto form_of = [&](int i, ImageRange part) {
    return s.forms.data() + i * parts + part.first / s.plan.images_at_once();
  };
  s.for_each_part(images, [&](ImageRange part, bool) {
    Shape shape = s.plan.output_shape();
    shape.n = part.count;
    const TensorView r{s.r.data(), shape}, hr{s.hr.data(), shape};
    const auto r_forward = [&](const ConstVectorView& v) {
      s.plan.r_forward(s.stream, s.theta, v, s.x, part);
      copy_tensor(s.stream, first(s.plan.r_output(), part.count), 1.0f, /*accumulate=*/false, r);
    };
    r_forward(directions[0]);
    s.hessian(part, total, r, hr);
    s.dot(r, hr, form_of(0, part));
    if (directions.size() == 1) return;
    r_forward(directions[1]);
    s.dot(r, hr, form_of(1, part));
    s.hessian(part, total, r, hr);
    s.dot(r, hr, form_of(2, part));
  });
  const std::int64_t used = (images + s.plan.images_at_once() - 1) / s.plan.images_at_once();
  std::array<VectorPair, State::kForms> sums;
  for (int i = 0; i < State::kForms; ++i)
    sums[static_cast<std::size_t>(i)] = {{s.forms.data() + i * parts, used}, {s.ones.data(), used}};
  dot_products(s.stream, std::span<const VectorPair>(sums).first(directions.size() == 1 ? 1 : 3),
               {s.workspace.data(), s.workspace.bytes()}, form);
}

}  // namespace curvseg
