// FOOF with a step from the exact quadratic model: no learning rate.
#pragma once

#include "curvseg/optim.hpp"
#include "host/optim/input_factors.hpp"
#include "host/optim/quadratic_stepper.hpp"

namespace curvseg {

/// One step:
///
///   A ← mean of patches (every factor_every steps), inverted (at first often, then every
///   inverse_every);  m ← mean gradient;  d = A⁻¹m;  θ ← θ − α·d + μ·p
///
/// with α and μ of the two-dimensional quadratic model, QuadraticStepper. Sources: there and in
/// InputFactors.
class Foof final : public Optimizer {
 public:
  Foof(const Stream& stream, const FoofOptions& options, const Model& model);

  std::string_view name() const override { return "foof"; }
  CurvatureKind curvature() const override { return CurvatureKind::kGaussNewton; }
  int images_at_once(int images) const override { return images; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return stepper_.failed(context); }
  void take_back(const StepContext& context) override { stepper_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream& stream) override { return stepper_.report(stream); }

 private:
  FoofOptions options_;
  std::int64_t parameters_;
  InputFactors factors_;
  QuadraticStepper stepper_;
  DeviceArray<float> d_;
};

InputFactorOptions factor_options(const FoofOptions& options);
QuadraticStepperOptions stepper_options(const FoofOptions& options);
/// Whether FOOF looks at patches, and inverts its factors, in step `step`, 1 for the first.
bool observes(const FoofOptions& options, std::uint64_t step);
bool inverts(const FoofOptions& options, std::uint64_t step);

}  // namespace curvseg
