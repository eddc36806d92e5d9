#include "host/optim/hessian_free.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "curvseg/ops.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/optim/state_scalars.hpp"
#include "kernels/target.hpp"

namespace curvseg {
namespace {

constexpr double kRaise = 1.5, kLower = 2.0 / 3.0;
constexpr double kLeastDamping = 1e-8;  // the preconditioner divides by it

ConjugateGradientsOptions solver_options(const HessianFreeOptions& o) {
  return {.max_iterations = o.max_iterations,
          .model_tolerance = static_cast<double>(o.model_tolerance),
          .keep_iterates = true};
}

}  // namespace

HessianFree::HessianFree(const Stream& stream, const HessianFreeOptions& options,
                         std::int64_t parameters)
    : options_(options),
      parameters_(parameters),
      solver_(stream, parameters, solver_options(options)),
      objective_(stream, parameters, options.l2),
      shift_(stream.device()),
      b_(zeroed_vector(stream, parameters)),
      x_(zeroed_vector(stream, parameters)),
      inverse_weights_(zeroed_vector(stream, options.precondition ? parameters : 0)),
      lambda_(static_cast<double>(options.damping)) {}

/// The loss that products are of: the batch's, or that of its first images.
BatchLoss& HessianFree::curvature_loss(const StepContext& context) {
  BatchLoss& batch = *context.batch;
  if (!(options_.batch_fraction < 1.0f)) return batch;
  ConstTensorView x = batch.x();
  const double images = std::ceil(static_cast<double>(x.shape.n) * double{options_.batch_fraction});
  x.shape.n = std::clamp(static_cast<int>(images), 1, x.shape.n);
  if (!parts_)
    parts_.emplace(context.stream, kTrainingShapes,
                   [stream = context.stream, model = batch.model(), loss = batch.loss_options()](
                       const Shape& shape) { return BatchLoss(stream, model, shape, loss); });
  BatchLoss& part = parts_->get(x.shape);
  part.linearise(context.theta, x, batch.labels());
  return part;
}

/// x ← a solution of (G + (λ + l2)I)·x = −g.
const ConjugateGradientsReport& HessianFree::solve(const StepContext& context) {
  const Stream& stream = context.stream;
  BatchLoss& loss = curvature_loss(context);
  shift_.set(stream, static_cast<float>(lambda_) + options_.l2);
  ConjugateGradientsProblem problem{.b = view(b_)};
  if (options_.precondition) {
    loss.squared_gradients(view(inverse_weights_));
    const CurrentDevice current(stream.device());
    stream.device().target().kernels->inverse_three_quarter_power(stream.native(),
                                                                  {.n = parameters_,
                                                                   .x = inverse_weights_.data(),
                                                                   .damping = shift_.device(),
                                                                   .to = inverse_weights_.data()});
    problem.inverse_weights = view(inverse_weights_);
  }
  linear_combination(stream, {{context.grad, -1.0f}}, view(b_));
  problem.warm_start = has_solution_ && options_.warm_start > 0.0f;
  if (problem.warm_start) linear_combination(stream, {{view(x_), options_.warm_start}}, view(x_));
  const auto damped = [&](ConstVectorView v, VectorView product) {
    loss.ggnvp(v, product);
    linear_combination(stream, {{product}, {v, 1.0f, shift_.device()}}, product);
  };
  // By reference, which takes no memory from the heap.
  return solver_.solve(std::cref(damped), problem, view(x_));
}

/// Back over the kept iterates as long as the loss prefers the earlier one.
HessianFree::Candidate HessianFree::backtrack(const StepContext& context,
                                              const ConjugateGradientsReport& report) {
  const double eta = double{context.learning_rate};
  Candidate best{view(x_), report.iterations, report.model, 0.0};
  best.loss = objective_.trial(context, best.d, eta);
  const auto kept = solver_.kept();
  for (std::size_t i = kept.size(); i-- > 0;) {
    if (kept[i].iteration >= report.iterations) continue;
    Candidate earlier{kept[i].x, kept[i].iteration, kept[i].model, 0.0};
    earlier.loss = objective_.trial(context, earlier.d, eta);
    if (std::isfinite(best.loss) && !(earlier.loss < best.loss)) break;
    best = earlier;
  }
  return best;
}

/// The largest α = η·line_shrink^j with f(θ + α·d) ≤ f(θ) + armijo·α·slope, or where rounding hides
/// whether that holds; 0: none.
double HessianFree::line_search(const StepContext& context, const Candidate& best, double loss,
                                double slope) {
  if (!(slope < 0.0)) return 0.0;
  double alpha = double{context.learning_rate}, value = best.loss;
  for (int j = 0; j < options_.line_steps; ++j) {
    if (j > 0) value = objective_.trial(context, best.d, alpha);
    const double least = double{options_.armijo} * alpha * slope;
    if (value - loss <= least || within_rounding(value - loss, alpha * slope, loss)) return alpha;
    alpha *= double{options_.line_shrink};
  }
  return 0.0;
}

void HessianFree::adapt_damping(bool rises, double rho) {
  if (rises || !(rho >= 0.25))
    lambda_ *= kRaise;
  else if (rho > 0.75)
    lambda_ = std::max(kLower * lambda_, kLeastDamping);
}

void HessianFree::reject(bool forget_solution) {
  rejected_ += 1.0;
  if (forget_solution) has_solution_ = false;
}

void HessianFree::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  last_ = {};
  const double eta = double{context.learning_rate};
  if (eta == 0.0) return;  // a schedule has come to its end
  const double loss = objective_.begin(context);
  // The batch is to blame, no step led here: what earlier ones found is still good.
  if (!std::isfinite(loss) || !objective_.gradient_is_finite()) {
    last_.stop = ConjugateGradientsStop::kNotFinite;
    lambda_ *= kRaise;
    return reject(false);
  }
  const ConjugateGradientsReport& report = solve(context);
  last_.iterations = report.iterations;
  last_.stop = report.stop;
  if (report.stop == ConjugateGradientsStop::kNotFinite) {
    lambda_ *= kRaise;
    return reject(true);
  }
  has_solution_ = true;
  const Candidate best = backtrack(context, report);
  const std::vector<float>& products =
      objective_.products(context.stream, {{context.grad, best.d}, {best.d, best.d}});
  const double slope = products[0], square = products[1];
  const double damping = options_.damping_in_ratio ? 0.0 : 0.5 * lambda_ * eta * eta * square;
  const double change = best.loss - loss;
  const double predicted = model_along(eta, slope, best.model) - damping;
  last_.rho = reduction_ratio(change, predicted, loss);
  last_.model_decrease = -predicted;
  last_.taken_iterate = best.iteration;
  adapt_damping(!(change <= 0.0) && !within_rounding(change, predicted, loss), last_.rho);
  last_.alpha = line_search(context, best, loss, slope);
  if (last_.alpha == 0.0) return reject(!(slope < 0.0));
  linear_combination(context.stream, {{context.theta}, {best.d, static_cast<float>(last_.alpha)}},
                     context.theta);
}

OptimizerState HessianFree::state() {
  return {{{"last_solution", view(x_), {}}},
          {{"lambda", exact_text(lambda_)},
           {"rejected", exact_text(rejected_)},
           {"has_solution", exact_text(has_solution_ ? 1.0 : 0.0)}}};
}

void HessianFree::restore_scalars(const std::map<std::string, std::string>& scalars) {
  const double lambda = exact_number(scalars, name(), "lambda");
  const double rejected = exact_number(scalars, name(), "rejected");
  has_solution_ = exact_number(scalars, name(), "has_solution") != 0.0;
  lambda_ = lambda;
  rejected_ = rejected;
}

std::size_t HessianFree::state_bytes() const {
  return solver_.memory_bytes() + objective_.bytes() + b_.bytes() + x_.bytes() +
         inverse_weights_.bytes() + (parts_ ? parts_->memory_bytes() : 0);
}

std::vector<NamedNumber> HessianFree::report(const Stream&) {
  return {{"lambda", lambda_},
          {"rho", last_.rho},
          {"cg_iterations", static_cast<double>(last_.iterations)},
          {"cg_stop", 0.0, std::string(to_string(last_.stop))},
          {"taken_iterate", static_cast<double>(last_.taken_iterate)},
          {"model_decrease", last_.model_decrease},
          {"alpha", last_.alpha},
          {"rejected", rejected_}};
}

}  // namespace curvseg
