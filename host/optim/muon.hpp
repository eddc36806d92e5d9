// Muon: momentum, orthogonalised layer by layer.
#pragma once

#include <vector>

#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/layer_matrices.hpp"
#include "host/optim/step_factors.hpp"
#include "host/optim/step_guard.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

/// For the weights of each layer, as a matrix W [n, k]:
///
///   M ← momentum·M + G,  N = G + momentum·M (Nesterov),  O ≈ U Vᵀ where N = U S Vᵀ
///   W ← W·(1 − η·decoupled_l2) − η·0.2·√max(n, k)·O
///
/// and Adam for everything else. O by five steps of a Newton-Schulz iteration,
/// X ← aX + X(b·XᵀX + c·(XᵀX)²), from X = N / |N|. Sources: Jordan et al., "Muon: An optimizer for
/// hidden layers in neural networks" (2024), with its coefficients; the factor 0.2·√max(n, k),
/// which gives updates the size of Adam's, from Liu et al., "Muon is Scalable for LLM Training"
/// (2025). StepGuard takes back what fails; a rejected batch counts as a gradient of 0.
class Muon final : public Optimizer {
 public:
  Muon(const Stream& stream, const MuonOptions& options, const Model& model);

  std::string_view name() const override { return "muon"; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return guard_.failed(context); }
  void take_back(const StepContext& context) override { guard_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream& stream) override { return guard_.report(stream); }

 private:
  void allocate_scratch(const Stream& stream);
  /// x ← its orthogonal factor; squared_norm = |x|², on the device.
  void orthogonalise(const Stream& stream, const LayerMatrix& layer, float* x,
                     const float* squared_norm);
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }

  MuonOptions options_;
  std::int64_t parameters_;
  std::vector<LayerMatrix> layers_;
  DeviceValue<UpdateScalars> scalars_;
  StepGuard guard_;
  StepAlong along_;
  DeviceArray<float> momentum_, adam_m_, adam_v_, d_;
  DeviceArray<float> norms_, gram_, square_, product_, workspace_;
};

}  // namespace curvseg
