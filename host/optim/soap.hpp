// SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
#pragma once

#include "curvseg/optim.hpp"
#include "host/optim/rotated_moments.hpp"
#include "host/optim/step_factors.hpp"
#include "host/optim/step_guard.hpp"

namespace curvseg {

/// θ ← θ·(1 − η·decoupled_l2) − η·d, d of RotatedMoments. StepGuard takes back what fails; a
/// rejected batch counts as a gradient of 0.
class Soap final : public Optimizer {
 public:
  Soap(const Stream& stream, const SoapOptions& options, const Model& model);

  std::string_view name() const override { return "soap"; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return guard_.failed(context); }
  void take_back(const StepContext& context) override { guard_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override {
    return moments_.bytes() + guard_.bytes() + along_.bytes();
  }
  std::vector<NamedNumber> report(const Stream& stream) override { return guard_.report(stream); }

 private:
  SoapOptions options_;
  std::int64_t parameters_;
  RotatedMoments moments_;
  StepGuard guard_;
  StepAlong along_;
};

}  // namespace curvseg
