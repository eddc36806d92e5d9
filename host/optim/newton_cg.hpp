// Newton's method in a trust region, by truncated conjugate gradients.
#pragma once

#include <cstdint>

#include "curvseg/optim.hpp"
#include "curvseg/solvers.hpp"
#include "host/optim/batch_objective.hpp"

namespace curvseg {

/// One step, after NewtonCgOptions; the host decides. Sources: Steihaug, SIAM J. Numer. Anal. 20
/// (1983); Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 4.1 and 7.2, but for the
/// radius behind a step that fails: a quarter of the step, where 4.1 takes a quarter of the radius.
/// A step that ended inside would else be tried again until the radius is below it.
class NewtonCg final : public Optimizer {
 public:
  NewtonCg(const Stream& stream, const NewtonCgOptions& options, std::int64_t parameters);

  std::string_view name() const override { return "newton-cg"; }
  CurvatureKind curvature() const override { return CurvatureKind::kHessian; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  void restore_scalars(const std::map<std::string, std::string>& scalars) override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream&) override;

 private:
  struct LastStep {
    double rho = 0.0, model_decrease = 0.0, length = 0.0;
    int iterations = 0;
    ConjugateGradientsStop stop = ConjugateGradientsStop::kResidual;
  };

  const ConjugateGradientsReport& solve(const StepContext& context);
  /// Of loss, gradient or products, which are not finite.
  void reject_numbers();
  /// Whether the step is to be taken; `length` is that of the whole one, which the radius bounds.
  bool judge(double change, double predicted, double loss, double length, bool at_boundary);

  NewtonCgOptions options_;
  std::int64_t parameters_;
  ConjugateGradients solver_;
  BatchObjective objective_;
  DeviceArray<float> b_, x_;
  // State.
  double radius_;
  double rejected_ = 0.0;

  LastStep last_;
};

}  // namespace curvseg
