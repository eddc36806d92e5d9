// The list of optimisers, and the checks of their options.
#include <cmath>
#include <string>

#include "curvseg/error.hpp"
#include "host/optim/check_options.hpp"
#include "host/optim/first_order.hpp"

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
  unknown(name);
}

std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          std::int64_t parameters) {
  check_optimizer_options(options);
  const std::string& name = options.name;
  if (name == "sgd") return std::make_unique<Sgd>(stream, options.sgd, parameters);
  return std::make_unique<Adam>(stream, name, name == "adamw" ? options.adamw : options.adam,
                                parameters);
}

std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          const Model& model) {
  return make_optimizer(stream, options, model.parameter_count());
}

void Optimizer::restore_scalars(const std::map<std::string, std::string>&) {}

std::vector<std::string> optimizer_names() { return {"sgd", "adam", "adamw"}; }

double default_learning_rate(std::string_view optimizer) {
  if (optimizer == "sgd") return 0.05;
  if (optimizer == "adam" || optimizer == "adamw") return 2e-3;
  unknown(optimizer);
}

}  // namespace curvseg
