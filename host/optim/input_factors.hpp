// The preconditioner of FOOF: from what a layer reads, one factor, or one for each group of
// channels.
//
//   A = mean of ā āᵀ over positions,   ā = the patch that the filter sees, and 1 for the bias
//   d = (A + damping · trace(A)/n · I)⁻¹ m,   m [n, out] the layer's weights and bias as one matrix
//
// Source: Benzing, "Gradient Descent on Neurons and its Link to Approximate Second-Order
// Optimization", ICML 2022; the input side of Martens and Grosse, ICML 2015, and of Grosse and
// Martens, "A Kronecker-factored approximate Fisher matrix for convolution layers", ICML 2016.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/device.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "curvseg/tensor.hpp"
#include "host/optim/device_value.hpp"
#include "host/optim/layer_matrices.hpp"
#include "kernels/quadratic/quadratic.hpp"

namespace curvseg {

struct InputFactorOptions {
  int positions = 512;    // patches of a layer and mean
  float decay = 0.95f;    // of the mean over observations
  float damping = 0.01f;  // in mean eigenvalues
};

class InputFactors {
 public:
  InputFactors(const Stream& stream, const Model& model, const InputFactorOptions& options);

  /// A ← its mean with the patches of the batch that `loss` is linearised on; `draw` numbers the
  /// random choice of positions. A batch does not count where *accepted, on the device, is 0.
  void observe(const Stream& stream, const BatchLoss& loss, std::uint64_t draw,
               const float* accepted);
  /// The inverses of A as it is now.
  void invert(const Stream& stream);
  /// d = A⁻¹ m, layer by layer; both are laid out as theta. Parameters that belong to no factor
  /// are copied.
  void apply(const Stream& stream, ConstVectorView m, VectorView d);

  void append_state(OptimizerState& state);
  std::size_t bytes() const;

 private:
  struct Factor {
    LayerMatrix layer;         // of a dense layer that shares factors, pixels as taps
    ChannelGroup inputs;       // that are in A
    int n = 0;                 // of A
    bool whole_patch = false;  // else over the channels, the same for every tap
    bool has_bias = false;     // its last row
    bool contiguous = true;    // the bias lies behind the weights in theta
    DeviceArray<float> mean, inverse;
  };
  struct Draw {
    std::uint64_t seed, step;
  };

  void add_factor(const Stream& stream, const LayerMatrix& layer, const ChannelGroup& inputs,
                  bool whole_patch);
  void allocate_scratch(const Stream& stream);
  void observe(const Stream& stream, const BatchLoss& loss, std::size_t i);
  void apply(const Stream& stream, const Factor& factor, ConstVectorView m, VectorView d);
  static void stage(const Stream& stream, const LayerMatrix& layer, ConstVectorView from,
                    const DeviceArray<float>& to);
  static void unstage(const Stream& stream, const LayerMatrix& layer,
                      const DeviceArray<float>& from, VectorView to);
  MeanWeights* weights() const { return reinterpret_cast<MeanWeights*>(weights_.data()); }
  Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }

  InputFactorOptions options_;
  Model model_;
  std::vector<Factor> factors_;
  std::vector<InverseSpdOperands> inversions_;  // of each factor
  DeviceValue<Draw> draw_;
  DeviceArray<float> weights_;  // MeanWeights
  DeviceArray<float> rows_, staged_m_, staged_d_, workspace_;
};

}  // namespace curvseg
