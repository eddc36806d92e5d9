// The list of optimisers, and the checks of their options.
#include <cmath>
#include <string>

#include "curvseg/error.hpp"
#include "host/optim/auto.hpp"
#include "host/optim/check_options.hpp"
#include "host/optim/damped_diagonal.hpp"
#include "host/optim/first_order.hpp"
#include "host/optim/foof.hpp"
#include "host/optim/gradient_descent.hpp"
#include "host/optim/hessian_free.hpp"
#include "host/optim/muon.hpp"
#include "host/optim/newton.hpp"
#include "host/optim/newton_cg.hpp"
#include "host/optim/soap.hpp"

namespace curvseg {
namespace {

/// `low ≤ value < high`, or an error that says so; a NaN fails.
void check_range(const std::string& optimizer, const char* option, float value, float low,
                 float high) {
  if (!(value >= low && value < high))
    throw InputError(optimizer + ": " + option + " is " + std::to_string(value) + ", it must " +
                     (std::isinf(high)
                          ? "be finite and at least " + std::to_string(low)
                          : "lie in [" + std::to_string(low) + ", " + std::to_string(high) + ")"));
}

void check_count(const std::string& optimizer, const char* option, int value) {
  if (value < 1)
    throw InputError(optimizer + ": " + option + " is " + std::to_string(value) +
                     ", it must be at least 1");
}

void check(const std::string& name, const RegularisationOptions& options) {
  check_range(name, "l1", options.l1, 0.0f, INFINITY);
  check_range(name, "l2", options.l2, 0.0f, INFINITY);
  check_range(name, "decoupled_l2", options.decoupled_l2, 0.0f, INFINITY);
  check_range(name, "proximal_l1", options.proximal_l1, 0.0f, INFINITY);
}

void check_sgd(const std::string& name, const SgdOptions& options) {
  check_range(name, "momentum", options.momentum, 0.0f, 1.0f);
  if (options.nesterov && options.momentum == 0.0f)
    throw InputError(name + ": nesterov needs a momentum above 0");
  check(name, options.regularisation);
}

void check_adam(const std::string& name, const AdamOptions& options) {
  check_range(name, "beta1", options.beta1, 0.0f, 1.0f);
  check_range(name, "beta2", options.beta2, 0.0f, 1.0f);
  check_range(name, "epsilon", options.epsilon, 0.0f, INFINITY);
  check(name, options.regularisation);
}

void check_foof(const std::string& name, const FoofOptions& o) {
  check_range(name, "damping", o.damping, 1e-8f, INFINITY);
  check_range(name, "factor_decay", o.factor_decay, 0.0f, 1.0f);
  check_range(name, "momentum", o.momentum, 0.0f, 1.0f);
  check_range(name, "batch_fraction", o.batch_fraction, 1e-6f, 1.0000001f);
  check_range(name, "model_damping", o.model_damping, 0.0f, INFINITY);
  check_range(name, "smoothing", o.smoothing, 0.0f, 1.0f);
  check_range(name, "curvature_smoothing", o.curvature_smoothing, 0.0f, 1.0f);
  check_range(name, "radius", o.radius, 1e-12f, INFINITY);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
  check_count(name, "positions", o.positions);
  check_count(name, "factor_every", o.factor_every);
  check_count(name, "inverse_every", o.inverse_every);
  check_count(name, "model_every", o.model_every);
  if (o.previous_direction && (o.curvature_smoothing > 0.0f || o.model_every > 1))
    throw InputError(name + ": curvature_smoothing is " + std::to_string(o.curvature_smoothing) +
                     " and model_every " + std::to_string(o.model_every) +
                     ", with previous_direction they must be 0 and 1");
}

void check_soap(const std::string& name, const SoapOptions& o) {
  check_range(name, "beta1", o.beta1, 0.0f, 1.0f);
  check_range(name, "beta2", o.beta2, 0.0f, 1.0f);
  check_range(name, "epsilon", o.epsilon, 0.0f, INFINITY);
  check_range(name, "factor_decay", o.factor_decay, 0.0f, 1.0f);
  check_range(name, "decoupled_l2", o.decoupled_l2, 0.0f, INFINITY);
  check_count(name, "factor_every", o.factor_every);
  check_count(name, "basis_every", o.basis_every);
  check_count(name, "largest_basis", o.largest_basis);
}

void check_muon(const std::string& name, const MuonOptions& o) {
  check_range(name, "momentum", o.momentum, 0.0f, 1.0f);
  check_range(name, "beta1", o.beta1, 0.0f, 1.0f);
  check_range(name, "beta2", o.beta2, 0.0f, 1.0f);
  check_range(name, "epsilon", o.epsilon, 0.0f, INFINITY);
  check_range(name, "decoupled_l2", o.decoupled_l2, 0.0f, INFINITY);
}

void check_preconditioned_gd(const std::string& name, const PreconditionedGdOptions& o) {
  check_range(name, "damping", o.damping, 1e-12f, INFINITY);
  check_range(name, "decay", o.decay, 0.0f, 1.0f);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
}

void check_projected_gd(const std::string& name, const ProjectedGdOptions& o) {
  if (!(o.lower <= 0.0f && o.upper >= 0.0f))
    throw InputError(name + ": the box from " + std::to_string(o.lower) + " to " +
                     std::to_string(o.upper) + " must have 0 in it");
  check_range(name, "radius", o.radius, 0.0f, INFINITY);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
}

void check_damped_diagonal(const std::string& name, const DampedDiagonalOptions& given) {
  const DampedDiagonalOptions o = resolved(given);
  check_range(name, "beta1", o.beta1, 0.0f, 1.0f);
  check_range(name, "beta2", o.beta2, 0.0f, 1.0f);
  check_range(name, "gamma", o.gamma, 0.0f, INFINITY);
  check_range(name, "epsilon", o.epsilon, 1e-30f, INFINITY);
  check_range(name, "clip", o.clip, 0.0f, INFINITY);
  check_range(name, "clip_norm", o.clip_norm, 0.0f, INFINITY);
  check_range(name, "decoupled_l2", o.decoupled_l2, 0.0f, INFINITY);
  check_count(name, "refresh_every", o.refresh_every);
  if (o.mean_square && o.estimator == DiagonalEstimator::kGaussNewtonBartlett)
    throw InputError(name + ": mean_square is for estimates by Hutchinson's method");
}

void check_hessian_free(const std::string& name, const HessianFreeOptions& o) {
  check_range(name, "damping", o.damping, 1e-8f, INFINITY);
  check_range(name, "warm_start", o.warm_start, 0.0f, 1.0000001f);
  check_range(name, "batch_fraction", o.batch_fraction, 1e-6f, 1.0000001f);
  check_range(name, "model_tolerance", o.model_tolerance, 0.0f, INFINITY);
  check_range(name, "armijo", o.armijo, 0.0f, 1.0f);
  check_range(name, "line_shrink", o.line_shrink, 1e-3f, 1.0f);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
  check_count(name, "max_iterations", o.max_iterations);
  check_count(name, "line_steps", o.line_steps);
}

void check_newton_cg(const std::string& name, const NewtonCgOptions& o) {
  check_range(name, "radius", o.radius, 1e-12f, INFINITY);
  check_range(name, "largest_radius", o.largest_radius, o.radius, INFINITY);
  check_range(name, "acceptance", o.acceptance, 0.0f, 0.25f);
  check_range(name, "model_tolerance", o.model_tolerance, 0.0f, INFINITY);
  check_range(name, "residual_tolerance", o.residual_tolerance, 0.0f, 1.0f);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
  check_count(name, "max_iterations", o.max_iterations);
}

void check_newton(const std::string& name, const NewtonOptions& o) {
  constexpr int kLargest = 16384;  // 4 GiB for matrix and factor
  check_range(name, "damping", o.damping, 0.0f, INFINITY);
  check_range(name, "l2", o.l2, 0.0f, INFINITY);
  check_count(name, "largest", o.largest);
  if (o.largest > kLargest)
    throw InputError(name + ": largest is " + std::to_string(o.largest) + ", it must be at most " +
                     std::to_string(kLargest));
}

[[noreturn]] void unknown(std::string_view name) {
  std::string known;
  for (const std::string& each : optimizer_names()) known += (known.empty() ? "" : ", ") + each;
  throw InputError("there is no optimiser \"" + std::string(name) + "\"; there are: " + known);
}

}  // namespace

void check_optimizer_options(const OptimizerOptions& options) {
  const std::string& name = options.name;
  if (name == "sgd") return check_sgd(name, options.sgd);
  if (name == "adam") return check_adam(name, options.adam);
  if (name == "adamw") return check_adam(name, options.adamw);
  if (name == "foof") return check_foof(name, options.foof);
  if (name == "soap") return check_soap(name, options.soap);
  if (name == "muon") return check_muon(name, options.muon);
  if (name == "auto") {
    check_foof(name, options.automatic.foof);
    check_count(name, "measure_every", options.automatic.measure_every);
    return check_soap(name, options.automatic.soap);
  }
  if (name == "gd") return check_range(name, "l2", options.gd.l2, 0.0f, INFINITY);
  if (name == "preconditioned-gd") return check_preconditioned_gd(name, options.preconditioned_gd);
  if (name == "projected-gd") return check_projected_gd(name, options.projected_gd);
  if (name == "damped-diagonal") return check_damped_diagonal(name, options.damped_diagonal);
  if (name == "hessian-free") return check_hessian_free(name, options.hessian_free);
  if (name == "newton-cg") return check_newton_cg(name, options.newton_cg);
  if (name == "newton") return check_newton(name, options.newton);
  unknown(name);
}

std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          std::int64_t parameters) {
  check_optimizer_options(options);
  const std::string& name = options.name;
  if (name == "sgd") return std::make_unique<Sgd>(stream, options.sgd, parameters);
  if (name == "adam" || name == "adamw")
    return std::make_unique<Adam>(stream, name, name == "adamw" ? options.adamw : options.adam,
                                  parameters);
  if (name == "gd") return std::make_unique<GradientDescent>(stream, options.gd, parameters);
  if (name == "projected-gd")
    return std::make_unique<GradientDescent>(stream, options.projected_gd, parameters);
  if (name == "preconditioned-gd")
    return std::make_unique<PreconditionedGd>(stream, options.preconditioned_gd, parameters);
  if (name == "hessian-free")
    return std::make_unique<HessianFree>(stream, options.hessian_free, parameters);
  if (name == "newton-cg") return std::make_unique<NewtonCg>(stream, options.newton_cg, parameters);
  throw InputError(name + ": it looks at the layers of a model, and there is none");
}

std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          const Model& model) {
  check_optimizer_options(options);
  const std::string& name = options.name;
  if (name == "foof") return std::make_unique<Foof>(stream, options.foof, model);
  if (name == "soap") return std::make_unique<Soap>(stream, options.soap, model);
  if (name == "muon") return std::make_unique<Muon>(stream, options.muon, model);
  if (name == "auto") return std::make_unique<Auto>(stream, options.automatic, model);
  if (name == "damped-diagonal")
    return std::make_unique<DampedDiagonal>(stream, options.damped_diagonal, model);
  if (name == "newton") {
    check_newton_size(options.newton, model);
    return std::make_unique<Newton>(stream, options.newton, model);
  }
  return make_optimizer(stream, options, model.parameter_count());
}

void Optimizer::restore_scalars(const std::map<std::string, std::string>&) {}

std::vector<std::string> optimizer_names() {
  return {"auto",
          "foof",
          "soap",
          "muon",
          "hessian-free",
          "newton-cg",
          "damped-diagonal",
          "preconditioned-gd",
          "projected-gd",
          "gd",
          "newton",
          "sgd",
          "adam",
          "adamw"};
}

double default_learning_rate(std::string_view optimizer) {
  if (optimizer == "sgd") return 0.05;
  if (optimizer == "adam" || optimizer == "adamw") return 2e-3;
  if (optimizer == "soap" || optimizer == "muon") return 3e-3;
  if (optimizer == "gd" || optimizer == "projected-gd") return 0.5;
  if (optimizer == "preconditioned-gd") return 1e-3;
  if (optimizer == "damped-diagonal") return 5e-3;
  if (optimizer == "auto" || optimizer == "foof" || optimizer == "hessian-free" ||
      optimizer == "newton-cg" || optimizer == "newton")
    return 1.0;
  unknown(optimizer);
}

double default_learning_rate(const OptimizerOptions& options) {
  // That of the preset's authors; Sophia's are for language models.
  if (options.name == "damped-diagonal" && options.damped_diagonal.preset == "adahessian")
    return 0.15;
  return default_learning_rate(options.name);
}

bool takes_clipping(std::string_view optimizer) {
  static_cast<void>(default_learning_rate(optimizer));  // throws for an unknown name
  for (const std::string_view each :
       {"sgd", "adam", "adamw", "gd", "projected-gd", "preconditioned-gd", "damped-diagonal"})
    if (optimizer == each) return true;
  return false;
}

bool needs_learning_rate(std::string_view optimizer) {
  return default_learning_rate(optimizer) != 1.0;  // throws for an unknown name
}

}  // namespace curvseg
