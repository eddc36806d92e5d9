#include "host/optim/damped_diagonal.hpp"

#include <limits>
#include <string>

#include "curvseg/error.hpp"
#include "host/ops/check.hpp"
#include "host/optim/bias_correction.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "kernels/target.hpp"

namespace curvseg {

DampedDiagonalOptions damped_diagonal_preset(std::string_view name) {
  DampedDiagonalOptions o;  // Sophia's
  o.preset = "";
  o.decoupled_l2 = 0.2f;
  if (name == "sophia" || name == "sophia-g") return o;
  o.estimator = DiagonalEstimator::kHutchinson;
  o.gamma = 0.01f;
  if (name == "sophia-h") return o;
  if (name != "adahessian")
    throw InputError("damped-diagonal: there is no preset \"" + std::string(name) +
                     "\"; there are: sophia, sophia-g, sophia-h, adahessian");
  o.beta1 = 0.9f;
  o.beta2 = 0.999f;
  o.gamma = 1.0f;
  o.epsilon = 1e-4f;
  o.clip = 0.0f;
  o.clip_norm = 0.0f;
  o.refresh_every = 1;
  o.mean_square = o.unbiased = o.spatial_mean = true;
  o.decoupled_l2 = 5e-4f;
  return o;
}

DampedDiagonalOptions resolved(const DampedDiagonalOptions& options) {
  DampedDiagonalOptions o =
      options.preset.empty() ? options : damped_diagonal_preset(options.preset);
  if (options.decoupled_l2 >= 0.0f) o.decoupled_l2 = options.decoupled_l2;
  if (o.decoupled_l2 < 0.0f) o.decoupled_l2 = 0.0f;
  return o;
}

DampedDiagonal::DampedDiagonal(const Stream& stream, const DampedDiagonalOptions& options,
                               const Model& model)
    : options_(resolved(options)),
      parameters_(model.parameter_count()),
      guard_(stream, parameters_),
      scalars_(stream.device()),
      seed_(stream.device()),
      m_(zeroed_vector(stream, parameters_)),
      h_(zeroed_vector(stream, parameters_)),
      d_(zeroed_vector(stream, parameters_)),
      weights_(zeroed_vector(stream, MeanWeights::kFloats)),
      norm_(stream.device(), parameters_),
      squared_norm_(stream.device(), 1) {
  if (options_.estimator == DiagonalEstimator::kHutchinson) {
    hutchinson_.emplace(stream, parameters_, 1);
    mask_ = zeroed_vector(stream, parameters_);
    model.mark_parameters(stream, view(mask_));
  }
  if (!options_.spatial_mean) return;
  for (const Parameter& p : model.parameters()) {
    if (p.shape.size() != 4) continue;
    const std::int64_t taps = p.shape[0] * p.shape[1];
    if (taps > 1) filters_.push_back({taps, p.size / taps, d_.data() + p.offset});
  }
}

void DampedDiagonal::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  if (!hutchinson_ && context.batch->loss_options().kind != LossKind::kCrossEntropy)
    throw InputError(
        "damped-diagonal: labels can be sampled for cross-entropy alone; take the preset sophia-h "
        "or adahessian, or another estimator");
  guard_.judge(context);
  if ((context.step - 1) % static_cast<std::uint64_t>(options_.refresh_every) == 0)
    refresh(context);
  update(context);
}

void DampedDiagonal::refresh(const StepContext& context) {
  const Stream& stream = context.stream;
  if (hutchinson_)
    estimate_hessian(context);
  else
    estimate_gauss_newton(context);
  norm_.compute(stream, view(d_), squared_norm_.data());
  AdvanceMean advance;
  advance.accepted = guard_.accepted(context);
  advance.squared_norm = squared_norm_.data();
  advance.weights = weights();
  advance.decay = options_.beta2;
  DiagonalMean mean;
  mean.n = parameters_;
  mean.d = d_.data();
  mean.h = h_.data();
  mean.weights = weights();
  mean.coefficient = hutchinson_ ? nullptr : context.batch->denominator();
  mean.square = !hutchinson_ || options_.mean_square;
  const CurrentDevice current(stream.device());
  const Kernels& kernels = kernels_of(stream);
  for (const ColumnMeans& filter : filters_) kernels.column_means(stream.native(), filter);
  kernels.advance_mean(stream.native(), advance);
  kernels.diagonal_mean(stream.native(), mean);
}

void DampedDiagonal::estimate_hessian(const StepContext& context) {
  const LinearMap hessian = [&](ConstVectorView v, VectorView product) {
    context.batch->hvp(v, product);
  };
  hutchinson_->diagonal(hessian, {.probes = 1, .seed = context.step, .mask = view(mask_)},
                        view(d_));
}

void DampedDiagonal::estimate_gauss_newton(const StepContext& context) {
  seed_.set(context.stream, context.step);
  context.batch->sampled_gradient({.seed = seed_.device()}, view(d_));
}

void DampedDiagonal::update(const StepContext& context) {
  UpdateScalars scalars;
  scalars.learning_rate = context.learning_rate;
  scalars.max_norm = context.max_norm;
  const float* squared_norm = context.squared_norm;
  if (options_.clip_norm > 0.0f) {
    if (scalars.max_norm <= 0.0f || options_.clip_norm < scalars.max_norm)
      scalars.max_norm = options_.clip_norm;
    if (!squared_norm) {
      norm_.compute(context.stream, context.grad, squared_norm_.data());
      squared_norm = squared_norm_.data();
    }
  }
  if (options_.unbiased) scalars.bias_correction1 = bias_correction(options_.beta1, context.step);
  scalars_.set(context.stream, scalars);
  DampedDiagonalUpdate p;
  p.n = parameters_;
  p.theta = context.theta.data;
  p.grad = context.grad.data;
  p.m = m_.data();
  p.h = h_.data();
  p.weights = weights();
  p.scalars = scalars_.device();
  p.squared_norm = squared_norm;
  p.factor = guard_.factor(context);
  p.beta1 = options_.beta1;
  p.gamma = options_.gamma;
  p.epsilon = options_.epsilon;
  p.largest = options_.clip > 0.0f ? options_.clip : std::numeric_limits<float>::infinity();
  p.decoupled_l2 = options_.decoupled_l2;
  p.root = options_.mean_square;
  p.biased = !options_.unbiased;
  const CurrentDevice current(context.stream.device());
  kernels_of(context.stream).damped_diagonal_update(context.stream.native(), p);
}

OptimizerState DampedDiagonal::state() {
  OptimizerState result;
  guard_.append_state(result);
  result.tensors.push_back({"m", view(m_), {}});
  result.tensors.push_back({"h", view(h_), {}});
  result.tensors.push_back({"weights", view(weights_), {MeanWeights::kFloats}});
  return result;
}

std::size_t DampedDiagonal::state_bytes() const {
  return guard_.bytes() + norm_.memory_bytes() + m_.bytes() + h_.bytes() + d_.bytes() +
         weights_.bytes() + mask_.bytes() + (hutchinson_ ? hutchinson_->memory_bytes() : 0);
}

}  // namespace curvseg
