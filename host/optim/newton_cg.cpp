#include "host/optim/newton_cg.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "curvseg/ops.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/optim/state_scalars.hpp"

namespace curvseg {
namespace {

constexpr double kShrink = 0.25, kGrow = 2.0;
constexpr double kLeastRadius = 1e-12;  // 0 would be none

}  // namespace

NewtonCg::NewtonCg(const Stream& stream, const NewtonCgOptions& options, std::int64_t parameters)
    : options_(options),
      parameters_(parameters),
      solver_(stream, parameters,
              {.max_iterations = options.max_iterations,
               .model_tolerance = static_cast<double>(options.model_tolerance)}),
      objective_(stream, parameters, options.l2),
      b_(zeroed_vector(stream, parameters)),
      x_(zeroed_vector(stream, parameters)),
      radius_(static_cast<double>(options.radius)) {}

/// x ← about the minimum of gᵀx + ½xᵀ(H + l2·I)x in the trust region.
const ConjugateGradientsReport& NewtonCg::solve(const StepContext& context) {
  const Stream& stream = context.stream;
  linear_combination(stream, {{context.grad, -1.0f}}, view(b_));
  const auto hessian = [&](ConstVectorView v, VectorView product) {
    context.batch->hvp(v, product);
    if (options_.l2 > 0.0f) linear_combination(stream, {{product}, {v, options_.l2}}, product);
  };
  // By reference, which takes no memory from the heap.
  return solver_.solve(std::cref(hessian),
                       {.b = view(b_),
                        .residual_tolerance = static_cast<double>(options_.residual_tolerance),
                        .radius = radius_},
                       view(x_));
}

bool NewtonCg::judge(double change, double predicted, double loss, double length,
                     bool at_boundary) {
  last_.rho = reduction_ratio(change, predicted, loss);
  if (!(last_.rho >= 0.25))
    radius_ = std::max(kShrink * length, kLeastRadius);
  else if (last_.rho > 0.75 && at_boundary)
    radius_ = std::min(kGrow * radius_, static_cast<double>(options_.largest_radius));
  return last_.rho > static_cast<double>(options_.acceptance);
}

void NewtonCg::reject_numbers() {
  last_.stop = ConjugateGradientsStop::kNotFinite;
  radius_ = std::max(kShrink * radius_, kLeastRadius);
  rejected_ += 1.0;
}

void NewtonCg::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  last_ = {};
  const double eta = double{context.learning_rate};
  if (eta == 0.0) return;  // a schedule has come to its end
  const double loss = objective_.begin(context);
  if (!std::isfinite(loss) || !objective_.gradient_is_finite()) return reject_numbers();
  const ConjugateGradientsReport& report = solve(context);
  last_.iterations = report.iterations;
  last_.stop = report.stop;
  if (report.stop == ConjugateGradientsStop::kNotFinite) return reject_numbers();
  if (!(report.model < 0.0)) return;  // the gradient is 0
  const double change = objective_.trial(context, view(x_), eta) - loss;
  const std::vector<float>& products =
      objective_.products(context.stream, {{context.grad, view(x_)}, {view(x_), view(x_)}});
  const double slope = products[0], length = std::sqrt(double{products[1]});
  const double predicted = model_along(eta, slope, report.model);
  last_.length = eta * length;
  last_.model_decrease = -predicted;
  const bool at_boundary = report.stop == ConjugateGradientsStop::kBoundary ||
                           report.stop == ConjugateGradientsStop::kNegativeCurvature;
  if (!judge(change, predicted, loss, length, at_boundary)) {
    rejected_ += 1.0;
    return;
  }
  linear_combination(context.stream, {{context.theta}, {view(x_), context.learning_rate}},
                     context.theta);
}

OptimizerState NewtonCg::state() {
  return {{}, {{"radius", exact_text(radius_)}, {"rejected", exact_text(rejected_)}}};
}

void NewtonCg::restore_scalars(const std::map<std::string, std::string>& scalars) {
  const double radius = exact_number(scalars, name(), "radius");
  rejected_ = exact_number(scalars, name(), "rejected");
  radius_ = radius;
}

std::size_t NewtonCg::state_bytes() const {
  return solver_.memory_bytes() + objective_.bytes() + b_.bytes() + x_.bytes();
}

std::vector<NamedNumber> NewtonCg::report(const Stream&) {
  return {{"radius", radius_},
          {"rho", last_.rho},
          {"cg_iterations", static_cast<double>(last_.iterations)},
          {"cg_stop", 0.0, std::string(to_string(last_.stop))},
          {"length", last_.length},
          {"model_decrease", last_.model_decrease},
          {"rejected", rejected_}};
}

}  // namespace curvseg
