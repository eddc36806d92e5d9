/// \file
/// Products with the curvature of a model's loss, which is never formed.
///
/// ```
/// curvseg::CurvatureOperator curvature(stream, model, {.n = 8, .h = 96, .w = 96, .c = 1});
/// curvature.linearise(theta, images, labels);  // one forward pass, kept
/// curvature.gradient(grad);                    // one backward pass
/// curvature.ggnvp(v, product);                 // 4/3 of both in arithmetic, as often as wanted
/// curvature.hvp(v, product);                   // 7/3 of both, if made for the Hessian
/// ```
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/model.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// The loss whose curvature is asked for: softmax cross-entropy per pixel, the weighted mean over
/// labelled pixels as in softmax_cross_entropy().
struct CurvatureLoss {
  std::vector<float> class_weights = {};  ///< one per class, ≥ 0; empty: all 1
  float label_smoothing = 0.0f;           ///< ε in [0, 1]
};

/// Which products an operator can form; more take more memory.
enum class CurvatureKind {
  kGaussNewton,  ///< ggnvp()
  kHessian,      ///< hvp() and ggnvp()
};

/// The loss L(theta) of a model on one batch, linearised at one theta: gradient and products with
/// the generalised Gauss-Newton matrix and the Hessian
///
///     G = Jᵀ H J,   J = d logits / d theta,   H = d²L / d logits²
///     d²L / d theta² = G + Σ (dL / d logit) · d² logit / d theta²
///
/// exact for the network with its ReLU masks and pooling winners as they are at theta. Both are
/// symmetric, and G is positive semidefinite. Sources: Schraudolph, Neural Computation 14
/// (2002); Pearlmutter, Neural Computation 6 (1994).
///
/// Vectors are flat, [Model::parameter_count()], on the stream's device, in the order of theta;
/// their padding between parameters must be 0 and stays 0. All calls are asynchronous on the
/// stream and allocate nothing after construction. Used by one thread at a time.
class CurvatureOperator {
 public:
  /// For batches of shape `input`. \throws InputError if the model does not fit the input, or an
  /// option is out of range.
  CurvatureOperator(const Stream& stream, const Model& model, const Shape& input,
                    const CurvatureLoss& loss = {},
                    CurvatureKind kind = CurvatureKind::kGaussNewton);
  ~CurvatureOperator();
  CurvatureOperator(CurvatureOperator&&) noexcept;
  CurvatureOperator& operator=(CurvatureOperator&&) noexcept;

  /// Forward pass at theta on images `x` and `labels` [N,H,W] of the output; labels outside
  /// [0, classes) are ignored. All three must stay as they are while products are taken.
  void linearise(ConstVectorView theta, ConstTensorView x, const std::int32_t* labels);

  /// L on the device, one float, since gradient().
  const float* loss() const;
  /// The denominator of the mean on the device, one float: Σ class weights of the labels.
  const float* denominator() const;

  /// grad (+)= dL/dtheta, and the loss. \throws std::logic_error before linearise().
  void gradient(VectorView grad, bool accumulate = false);

  /// product (+)= G·v. In arithmetic 4/3 of forward and backward pass together.
  /// \throws std::logic_error before linearise(); std::invalid_argument for vectors of another
  /// size.
  void ggnvp(ConstVectorView v, VectorView product, bool accumulate = false);

  /// product (+)= d²L/dtheta² · v, exact. In arithmetic 7/3 of forward and backward pass together.
  /// \throws as ggnvp(); std::logic_error unless the operator is for kHessian.
  void hvp(ConstVectorView v, VectorView product, bool accumulate = false);

  /// Device memory of this operator.
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg
