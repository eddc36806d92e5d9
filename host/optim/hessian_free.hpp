// Hessian-free optimisation: Gauss-Newton steps by conjugate gradients.
#pragma once

#include <cstdint>
#include <optional>

#include "curvseg/optim.hpp"
#include "curvseg/solvers.hpp"
#include "host/device/shape_cache.hpp"
#include "host/optim/batch_objective.hpp"
#include "host/optim/device_value.hpp"

namespace curvseg {

/// One step, after HessianFreeOptions. The host decides: it waits for a loss where it compares one.
/// Sources: Martens, ICML 2010; Martens and Sutskever, "Training Deep and Recurrent Networks with
/// Hessian-Free Optimization", 2012; damping: Moré, Numerical Analysis (1978).
class HessianFree final : public Optimizer {
 public:
  HessianFree(const Stream& stream, const HessianFreeOptions& options, std::int64_t parameters);

  std::string_view name() const override { return "hessian-free"; }
  /// Curvature of a part of the batch has a loss of its own.
  CurvatureKind curvature() const override {
    return options_.batch_fraction < 1.0f ? CurvatureKind::kNone : CurvatureKind::kGaussNewton;
  }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  void restore_scalars(const std::map<std::string, std::string>& scalars) override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream&) override;

 private:
  /// A step that conjugate gradients propose, and the loss where it leads: η·d away, η the learning
  /// rate of the step.
  struct Candidate {
    ConstVectorView d;
    int iteration = 0;
    double model = 0.0;  // φ(d), damped
    double loss = 0.0;
  };
  struct LastStep {
    double rho = 0.0, model_decrease = 0.0, alpha = 0.0;
    int iterations = 0, taken_iterate = 0;
    ConjugateGradientsStop stop = ConjugateGradientsStop::kResidual;
  };

  BatchLoss& curvature_loss(const StepContext& context);
  const ConjugateGradientsReport& solve(const StepContext& context);
  Candidate backtrack(const StepContext& context, const ConjugateGradientsReport& report);
  double line_search(const StepContext& context, const Candidate& best, double loss, double slope);
  void adapt_damping(bool rises, double rho);
  void reject(bool forget_solution);

  HessianFreeOptions options_;
  std::int64_t parameters_;
  ConjugateGradients solver_;
  BatchObjective objective_;
  DeviceValue<float> shift_;  // λ + l2
  DeviceArray<float> b_, x_, inverse_weights_;
  std::optional<ShapeCache<BatchLoss>> parts_;  // losses of the first images
  // State, beside x_, the last solution.
  double lambda_;
  double rejected_ = 0.0;
  bool has_solution_ = false;

  LastStep last_;
};

}  // namespace curvseg
