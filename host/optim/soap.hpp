// SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
#pragma once

#include "curvseg/optim.hpp"
#include "host/optim/rotated_moments.hpp"
#include "host/optim/step_factors.hpp"

namespace curvseg {

/// θ ← θ·(1 − η·decoupled_l2) − η·d, d of RotatedMoments.
class Soap final : public Optimizer {
 public:
  Soap(const Stream& stream, const SoapOptions& options, const Model& model);

  std::string_view name() const override { return "soap"; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  std::size_t state_bytes() const override { return moments_.bytes(); }

 private:
  SoapOptions options_;
  std::int64_t parameters_;
  RotatedMoments moments_;
  UploadRing<StepFactors> factors_;
};

}  // namespace curvseg
