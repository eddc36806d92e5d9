/// \file
/// The curvature of a model's loss as one symmetric operator: over a batch, a part of it or several
/// batches, with damping and an L2 term.
///
/// ```
/// curvseg::CurvatureOperator curvature(stream, {&loss}, {.lambda = lambda, .l2 = 1e-4f});
/// curvature.apply(v, product);          // (G + lambda·I + l2·I)·v
/// solver.solve(curvature, {.b = minus_gradient}, step);
/// ```
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// The matrices of a BatchLoss.
enum class CurvatureMatrix : std::uint8_t {
  kGaussNewton,      ///< G, BatchLoss::ggnvp()
  kHessian,          ///< BatchLoss::hvp()
  kEmpiricalFisher,  ///< BatchLoss::empirical_fisher_vp()
  kFisher,           ///< BatchLoss::fisher_vp(), one draw of labels
};

/// What a CurvatureOperator multiplies with.
struct CurvatureOperatorOptions {
  /// M, which every BatchLoss has to be made for.
  CurvatureMatrix matrix = CurvatureMatrix::kGaussNewton;
  ImageSubset images = {};        ///< of every batch; a list is copied
  const float* lambda = nullptr;  ///< device, one float: adds lambda·D·v; nullptr: no damping
  ConstVectorView damping = {};   ///< the diagonal D, as long as theta; empty: ones
  float l2 = 0.0f;                ///< adds l2·v, the curvature of an L2 term l2/2·‖theta‖²
  /// For kFisher: device, one number. Batch b takes stream b of it.
  const unsigned long long* seed = nullptr;
};

/// Images and labels of one mini-batch on the device, as BatchLoss::linearise() takes them.
struct MiniBatch {
  ConstTensorView x;                     ///< [N,H,W,C], of the shape that the loss is made for
  const std::int32_t* labels = nullptr;  ///< one a pixel of the output; has to be given
};

/// product = M·v + lambda·D·v + l2·v, with M the matrix of the mean loss over all batches b:
///
///     M = Σ_b D_b·M_b / Σ_b D_b
///
/// D_b the denominator of batch b (Σ class weights of its labels), so that every label counts as
/// if all batches were one; 0 if no batch has a label. The sum over batches has a fixed order. Of
/// the Hessian, batches that are made for kHessian keep their gradients until they are linearised
/// anew, as one batch does.
///
/// What it points to must stay alive, and be as it is to be used when the stream gets there:
/// lambda, D and the seed are read at every product. Asynchronous on the stream, which is that of
/// the BatchLosses; allocates nothing after construction. Used by one thread at a time.
class CurvatureOperator {
 public:
  /// Over batches that are linearised at one theta whenever apply() is called: the products are
  /// warm, and every batch keeps its activations.
  /// \throws std::invalid_argument for no batch or batches of different models, images that some
  ///         batch does not have, a damping of another size, or no seed for kFisher;
  ///         std::logic_error for a batch that is not made for the matrix.
  CurvatureOperator(const Stream& stream, std::vector<BatchLoss*> batches,
                    const CurvatureOperatorOptions& options = {});
  /// Over mini-batches that `loss` linearises at theta one after the other, at every apply(): the
  /// products are cold, in the memory of one batch. It leaves `loss` at the last one.
  /// \throws as above; std::invalid_argument for mini-batches of another shape than the loss's.
  CurvatureOperator(const Stream& stream, BatchLoss& loss, ConstVectorView theta,
                    std::vector<MiniBatch> batches, const CurvatureOperatorOptions& options = {});
  ~CurvatureOperator();
  /// The other object can then only be assigned to or destroyed.
  CurvatureOperator(CurvatureOperator&&) noexcept;
  CurvatureOperator& operator=(CurvatureOperator&&) noexcept;  ///< as the move constructor

  /// product = (M + lambda·D + l2)·v. Overwrites; `product` must not overlap v.
  /// \throws std::invalid_argument for vectors of another size than theta; std::logic_error for a
  ///         batch that is not linearised.
  void apply(ConstVectorView v, VectorView product);
  /// The same for several directions, which share the forward passes of mini-batches.
  /// \throws as above; std::invalid_argument for another number of products.
  void apply(std::span<const ConstVectorView> v, std::span<const VectorView> products);

  /// As the function that solvers take; the operator must outlive it and not be moved.
  operator std::function<void(ConstVectorView, VectorView)>();

  /// Σ_b D_b of the last apply(), on the device, one float.
  const float* denominator() const;
  /// Elements of theta.
  std::int64_t size() const;
  /// Device memory of this object, without that of the batches.
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg
