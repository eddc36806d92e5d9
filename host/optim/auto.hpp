// The default method: FOOF first, then SOAP, each with a step that curvature measures.
#pragma once

#include "curvseg/optim.hpp"
#include "host/optim/input_factors.hpp"
#include "host/optim/quadratic_stepper.hpp"
#include "host/optim/rotated_moments.hpp"

namespace curvseg {

/// Steps 1 to foof_steps: FOOF with its quadratic model, while SOAP watches the last gradients of
/// them. After that SOAP, its learning rate measured along its own directions over measured_steps
/// steps, then kept; steps that fail are taken back throughout. docs/second_order.md has the
/// reasons.
class Auto final : public Optimizer {
 public:
  Auto(const Stream& stream, const AutoOptions& options, const Model& model);

  std::string_view name() const override { return "auto"; }
  CurvatureKind curvature() const override { return CurvatureKind::kGaussNewton; }
  int images_at_once(int images) const override { return images; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return stepper_.failed(context); }
  void take_back(const StepContext& context) override { stepper_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override;
  /// Without "model_decrease" once SOAP moves: its steps are of a rate, not of a model of the
  /// batch.
  std::vector<NamedNumber> report(const Stream& stream) override;

 private:
  void foof_step(const StepContext& context);
  void soap_step(const StepContext& context);
  /// Before SOAP begins to watch.
  std::uint64_t unwatched_steps() const;

  AutoOptions options_;
  std::int64_t parameters_;
  InputFactors factors_;
  RotatedMoments moments_;
  QuadraticStepper stepper_;
  DeviceArray<float> d_;
  bool has_model_ = true;  // of the last step: it was FOOF's
};

}  // namespace curvseg
