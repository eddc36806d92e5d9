// Newton's method with the Hessian formed, for small networks.
#pragma once

#include <cstdint>
#include <vector>

#include "curvseg/optim.hpp"
#include "host/optim/batch_objective.hpp"

namespace curvseg {

/// \throws InputError for a model with more parameters than the options allow.
void check_newton_size(const NewtonOptions& options, const Model& model);

/// One step, after NewtonOptions: products of the Hessian with all unit vectors, then dense algebra
/// in double on the host. Sources: Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.4
/// and algorithm 3.3; damping: Moré, Numerical Analysis (1978).
class Newton final : public Optimizer {
 public:
  Newton(const Stream& stream, const NewtonOptions& options, const Model& model);

  std::string_view name() const override { return "newton"; }
  CurvatureKind curvature() const override { return CurvatureKind::kHessian; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  void restore_scalars(const std::map<std::string, std::string>& scalars) override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream&) override;

 private:
  void form_hessian(const StepContext& context);
  /// δ for this λ, and the undamped model of a step η·δ; false if H + λI is not positive definite.
  bool solve(double eta, double& model);
  bool try_step(const StepContext& context, double loss);
  double raised(double lambda) const;

  NewtonOptions options_;
  std::int64_t parameters_;
  std::vector<std::int64_t> places_;  // of the parameters in theta, without the padding
  BatchObjective objective_;
  DeviceArray<float> unit_, product_;
  std::vector<float> columns_;            // of the Hessian, as they come
  std::vector<float> flat_;               // g, then δ, laid out as theta
  std::vector<double> hessian_, factor_;  // dense
  std::vector<double> gradient_, delta_;
  // State.
  double lambda_;
  double rejected_ = 0.0;

  double rho_ = 0.0, model_decrease_ = 0.0;  // of the last step
  int tries_ = 0;
};

}  // namespace curvseg
