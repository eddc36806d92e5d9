// Steps along the mean gradient over an estimated diagonal of the curvature: Sophia, AdaHessian.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "curvseg/optim.hpp"
#include "curvseg/solvers.hpp"
#include "host/optim/device_value.hpp"
#include "host/optim/gradient_norm.hpp"
#include "host/optim/step_guard.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

/// The options that count: those of the preset, where one is named.
DampedDiagonalOptions resolved(const DampedDiagonalOptions& options);

/// One step:
///
///   every refresh_every steps: h ← its running mean with an estimate of the diagonal
///   m ← β₁m + (1−β₁)g;  θ ← θ(1 − η·decoupled_l2) − η·clip(m / max(γ·h, ε))
///
/// The second line is one kernel.
class DampedDiagonal final : public Optimizer {
 public:
  DampedDiagonal(const Stream& stream, const DampedDiagonalOptions& options, const Model& model);

  std::string_view name() const override { return "damped-diagonal"; }
  CurvatureKind curvature() const override {
    return hutchinson_ ? CurvatureKind::kHessian : CurvatureKind::kGaussNewton;
  }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return guard_.failed(context); }
  void take_back(const StepContext& context) override { guard_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream& stream) override { return guard_.report(stream); }

 private:
  void refresh(const StepContext& context);
  void estimate_hessian(const StepContext& context);
  void estimate_gauss_newton(const StepContext& context);
  void update(const StepContext& context);
  MeanWeights* weights() const { return reinterpret_cast<MeanWeights*>(weights_.data()); }

  DampedDiagonalOptions options_;
  std::int64_t parameters_;
  std::vector<ColumnMeans> filters_;  // in d_; empty without spatial_mean
  StepGuard guard_;
  DeviceValue<UpdateScalars> scalars_;
  DeviceValue<unsigned long long> seed_;
  DeviceArray<float> m_, h_, d_, weights_;
  GradientNorm norm_;  // of d_, as products overflow where gradients do not, then of the gradient
  DeviceArray<float> squared_norm_;
  std::optional<Hutchinson> hutchinson_;
  DeviceArray<float> mask_;  // of the parameters, for random signs
};

}  // namespace curvseg
