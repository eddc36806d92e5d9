#include "host/optim/newton.hpp"

#include <Eigen/Cholesky>
#include <cmath>
#include <string>

#include "curvseg/error.hpp"
#include "host/optim/check_step.hpp"
#include "host/optim/flat_vector.hpp"
#include "host/optim/state_scalars.hpp"

namespace curvseg {
namespace {

constexpr double kAcceptance = 1e-4;
constexpr double kRaisedBy = 4.0, kRaisedFrom0 = 1e-3;
constexpr int kTries = 20;  // λ rises by 10¹² in them

using Matrix = Eigen::Map<Eigen::MatrixXd>;
using Vector = Eigen::Map<Eigen::VectorXd>;

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

std::vector<std::int64_t> places_of(const Model& model) {
  std::vector<std::int64_t> result;
  for (const Parameter& p : model.parameters())
    for (std::int64_t i = 0; i < p.size; ++i) result.push_back(p.offset + i);
  return result;
}

}  // namespace

void check_newton_size(const NewtonOptions& options, const Model& model) {
  std::int64_t count = 0;
  for (const Parameter& p : model.parameters()) count += p.size;
  if (count > options.largest)
    throw InputError("newton: model " + model.name() + " has " + std::to_string(count) +
                     " parameters, and the Hessian is formed for at most " +
                     std::to_string(options.largest) +
                     "; newton-cg and hessian-free do not form it");
}

Newton::Newton(const Stream& stream, const NewtonOptions& options, const Model& model)
    : options_(options),
      parameters_(model.parameter_count()),
      places_(places_of(model)),
      objective_(stream, parameters_, options.l2),
      unit_(zeroed_vector(stream, parameters_)),
      product_(zeroed_vector(stream, parameters_)),
      columns_(places_.size() * static_cast<std::size_t>(parameters_)),
      flat_(static_cast<std::size_t>(parameters_)),
      hessian_(places_.size() * places_.size()),
      factor_(hessian_.size()),
      gradient_(places_.size()),
      delta_(places_.size()),
      lambda_(static_cast<double>(options.damping)) {}

/// H + l2·I, made symmetric, and g.
void Newton::form_hessian(const StepContext& context) {
  const Stream& stream = context.stream;
  const std::size_t n = places_.size(), size = flat_.size();
  for (std::size_t j = 0; j < n; ++j) {
    const VectorView one{unit_.data() + places_[j], 1};
    fill(stream, one, 1.0f);
    context.batch->hvp(view(unit_), view(product_));
    fill(stream, one, 0.0f);
    product_.download(stream, columns_.data() + j * size, parameters_);
  }
  linear_combination(stream, {{context.grad}}, view(product_));
  product_.download(stream, flat_.data(), parameters_);
  stream.synchronise();
  const auto at = [&](std::size_t i, std::size_t j) {
    return static_cast<double>(columns_[j * size + static_cast<std::size_t>(places_[i])]);
  };
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = 0; i < n; ++i)
      hessian_[j * n + i] = 0.5 * (at(i, j) + at(j, i)) + (i == j ? double{options_.l2} : 0.0);
    gradient_[j] = static_cast<double>(flat_[static_cast<std::size_t>(places_[j])]);
  }
}

bool Newton::solve(double eta, double& model) {
  const Eigen::Index n = index(places_.size());
  const Matrix h(hessian_.data(), n, n);
  const Vector g(gradient_.data(), n);
  Matrix factor(factor_.data(), n, n);
  Vector delta(delta_.data(), n);
  factor = h;
  factor.diagonal().array() += lambda_;
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> cholesky(factor);  // in place
  if (cholesky.info() != Eigen::Success) return false;
  delta = -g;
  cholesky.solveInPlace(delta);
  const double slope = g.dot(delta);
  double square = 0.0;  // δᵀHδ, without a vector for Hδ
  for (Eigen::Index j = 0; j < n; ++j) square += delta[j] * h.col(j).dot(delta);
  model = model_along(eta, slope, slope + 0.5 * square);
  return delta.allFinite();
}

/// λ four times as large, or, from 0, a little beside the diagonal's mean.
double Newton::raised(double lambda) const {
  if (lambda > 0.0) return kRaisedBy * lambda;
  const std::size_t n = places_.size();
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) sum += std::fabs(hessian_[i * n + i]);
  return sum > 0.0 && std::isfinite(sum) ? 1e-3 * sum / static_cast<double>(n) : kRaisedFrom0;
}

/// Takes the step of this λ if it is any good.
bool Newton::try_step(const StepContext& context, double loss) {
  double model = 0.0;
  const double eta = double{context.learning_rate};
  if (!solve(eta, model)) return false;
  std::fill(flat_.begin(), flat_.end(), 0.0f);
  for (std::size_t i = 0; i < places_.size(); ++i)
    flat_[static_cast<std::size_t>(places_[i])] = static_cast<float>(delta_[i]);
  product_.upload(context.stream, flat_.data(), parameters_);
  const double change = objective_.trial(context, view(product_), eta) - loss;
  rho_ = reduction_ratio(change, model, loss);
  model_decrease_ = -model;
  if (!(rho_ > kAcceptance)) return false;
  linear_combination(context.stream, {{context.theta}, {view(product_), context.learning_rate}},
                     context.theta);
  return true;
}

void Newton::step(const StepContext& context) {
  check_curvature_step(name(), context, parameters_, curvature());
  rho_ = model_decrease_ = 0.0;
  tries_ = 0;
  if (context.learning_rate == 0.0f) return;  // a schedule has come to its end
  const double loss = objective_.begin(context);
  if (!std::isfinite(loss) || !objective_.gradient_is_finite()) {
    // There is no Hessian of this batch to compare with, and one of another is not in checkpoints.
    lambda_ = lambda_ > 0.0 ? kRaisedBy * lambda_ : kRaisedFrom0;
    rejected_ += 1.0;
    return;
  }
  form_hessian(context);
  const double before = lambda_;
  for (bool taken = false; !taken; ++tries_) {
    if (tries_ == kTries) {  // as when products are not finite: no λ helps, and none is to stay
      lambda_ = raised(before);
      rejected_ += 1.0;
      return;
    }
    taken = try_step(context, loss);
    if (!taken) lambda_ = raised(lambda_);
  }
  if (rho_ < 0.25)
    lambda_ *= 1.5;
  else if (rho_ > 0.75)
    lambda_ *= 2.0 / 3.0;
}

OptimizerState Newton::state() {
  return {{}, {{"lambda", exact_text(lambda_)}, {"rejected", exact_text(rejected_)}}};
}

void Newton::restore_scalars(const std::map<std::string, std::string>& scalars) {
  const double lambda = exact_number(scalars, name(), "lambda");
  rejected_ = exact_number(scalars, name(), "rejected");
  lambda_ = lambda;
}

std::size_t Newton::state_bytes() const {
  return objective_.bytes() + unit_.bytes() + product_.bytes();
}

std::vector<NamedNumber> Newton::report(const Stream&) {
  return {{"lambda", lambda_},
          {"rho", rho_},
          {"tries", static_cast<double>(tries_)},
          {"model_decrease", model_decrease_},
          {"rejected", rejected_}};
}

}  // namespace curvseg
