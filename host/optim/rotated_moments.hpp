// SOAP: Adam in the eigenbasis of Shampoo's preconditioner, layer by layer.
//
//   G [T, P, Q]: the gradient of a layer, taps x rows x columns of its filter's memory
//   every factor_every steps:  L ← β·L + Σ_t G_t G_tᵀ,  R ← β·R + Σ_t G_tᵀ G_t
//   L = U·Λ·Uᵀ,  R = V·Λ'·Vᵀ
//   G' = Uᵀ G_t V for every tap;  m, v: Adam's means of G' and G'²
//   d_t = U · (m̂ / (√v̂ + ε))_t · Vᵀ
//
// Of L and R only the eigenvectors count, so they are running sums where Shampoo has means. Taps
// share the factors over channels, as in Shampoo with a factor a tensor extent: a factor of
// the whole patch would cost T² to T³ times as much. Long sides are cut into groups of channels:
// L and R are then the blocks on its diagonal, as in Anil et al., "Scalable Second Order
// Optimization for Deep Learning", 2020, but of the whole G. Biases have no basis: there it is
// Adam. Source: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025,
// algorithm 3; bases by one step of orthogonal iteration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/model.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/device_value.hpp"
#include "host/optim/layer_matrices.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

class RotatedMoments {
 public:
  RotatedMoments(const Stream& stream, const SoapOptions& options, const Model& model);

  /// The direction after `step` steps (1 for the first) with this gradient the last, laid out as
  /// theta; valid until the next call. `accepted` is on the device: where it is 0 the gradient
  /// counts as 0, whatever is in it; nullptr: it counts.
  ConstVectorView direction(const Stream& stream, std::uint64_t step, ConstVectorView grad,
                            const float* accepted);
  /// The same without the direction: what later ones need to know of this gradient.
  void observe(const Stream& stream, std::uint64_t step, ConstVectorView grad,
               const float* accepted);

  void append_state(OptimizerState& state);
  std::size_t bytes() const;

 private:
  /// Channels of one side of a layer's matrices that share a basis.
  struct Block {
    int first = 0, n = 0;
    DeviceArray<float> factor, basis;
  };
  struct Side {
    int n = 0;                  // of channels
    std::vector<Block> blocks;  // none: it has no basis
    bool rotates() const { return !blocks.empty(); }
  };
  static ConstMatrixView basis(const Block& block) {
    return {block.basis.data(), block.n, block.n};
  }
  struct Layer {
    LayerMatrix matrix;
    int rows = 0, columns = 0;  // P, Q
    Side left, right;
  };

  Side make_side(const Stream& stream, int n) const;
  void allocate_scratch(const Stream& stream);
  /// Of all layers, where they are once these are in their places.
  void list_blocks();
  void update_factors(const Stream& stream, const Layer& layer, ConstVectorView grad);
  void first_bases(const Stream& stream);
  void refresh_bases(const Stream& stream);
  void add_square(const Stream& stream, const Side& side, const float* x, std::int64_t elements);
  /// to = x·B or x·Bᵀ, B the bases of a side, block by block.
  void multiply_by(const Stream& stream, const Side& side, bool transposed, const float* x,
                   std::int64_t elements, float* to);
  /// x_t ← (Uᵀ x_t V)ᵀ, x the layer's place of a vector laid out as theta. Turned over, since Adam
  /// does not care and one transposition less is needed each way; not turned if there is no U.
  void rotate(const Stream& stream, const Layer& layer, VectorView all);
  /// x_t ← U x_tᵀ Vᵀ: undoes it.
  void rotate_back(const Stream& stream, const Layer& layer, VectorView all);
  void rotate_all(const Stream& stream, VectorView all, bool back);
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }

  SoapOptions options_;
  std::int64_t parameters_;
  std::vector<Layer> layers_;
  std::vector<const Block*> blocks_;  // of all sides
  DeviceValue<UpdateScalars> scalars_;
  DeviceArray<float> m_, v_;                         // in the rotated space
  DeviceArray<float> rotated_;                       // of the gradient, then of the direction
  DeviceArray<float> turned_, product_;              // of one layer
  DeviceArray<float> squares_;                       // of all bases
  std::vector<OrthonormalBasisOperands> refreshed_;  // from squares_, of each block
  DeviceArray<float> workspace_;
};

}  // namespace curvseg
