/// \file
/// The loss of a model on one batch as a function of its parameters: value, gradient, and products
/// with its curvature, which is never formed.
///
/// ```
/// curvseg::BatchLoss loss(stream, model, {.n = 8, .h = 96, .w = 96, .c = 1}, {},
///                         curvseg::CurvatureKind::kHessian);
/// loss.linearise(theta, images, labels);  // one forward pass, kept
/// loss.gradient(grad);                    // one backward pass
/// loss.ggnvp(v, product);                 // 4/3 of both in arithmetic, as often as wanted
/// loss.hvp(v, product);                   // twice both
/// ```
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/loss.hpp"
#include "curvseg/model.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Which products a BatchLoss can form; more take more memory.
enum class CurvatureKind : std::uint8_t {
  /// none: one gradient() or squared_gradients() after each linearise(), which is what training
  /// needs (any number where images_at_once are fewer than all)
  kNone,
  kGaussNewton,       ///< ggnvp(), Fisher products, quadratic_form()
  kLowMemoryHessian,  ///< hvp() too; every product repeats the backward pass
  kHessian,           ///< hvp() too, from a backward pass that is kept
};

/// Which images of a batch: all of them, the first so many, or those of a list.
class ImageSubset {
 public:
  ImageSubset() = default;  ///< all
  /// The first `count`; 0: all.
  template <std::same_as<int> Int>
  ImageSubset(Int count) : count_(count) {}
  /// Those with these numbers: ascending, none twice, 0 the first image of the batch. The list is
  /// not copied and has to stay where it is as long as the subset is used.
  ImageSubset(std::span<const int> list) : list_(list), is_list_(true) {}
  ImageSubset(const std::vector<int>& list) : ImageSubset(std::span(list)) {}  ///< the same
  ImageSubset(std::initializer_list<int>) = delete;  ///< a number of images, or a list of one?

  bool is_list() const { return is_list_; }                 ///< made from one
  std::span<const int> list() const { return list_; }       ///< empty without
  bool is_all() const { return !is_list_ && count_ == 0; }  ///< every image, of any batch
  int count() const { return is_list_ ? static_cast<int>(list_.size()) : count_; }  ///< 0: all

 private:
  int count_ = 0;
  std::span<const int> list_;
  bool is_list_ = false;
};

/// What a product is over, and where it goes.
struct ProductOptions {
  bool accumulate = false;  ///< add to the product
  ImageSubset images = {};  ///< of the batch
  /// Device, one float: the denominator of the mean, in place of that of the labels of these
  /// images; for sums over several batches.
  const float* denominator = nullptr;
};

/// Labels that are sampled from the model: of each pixel with a label, a class drawn from the
/// softmax of its logits by sample_labels(), in stream number 2^63 + `stream` of the seed: smaller
/// numbers are for random vectors.
struct SampledLabels {
  const unsigned long long* seed = nullptr;  ///< device, one number
  std::uint64_t stream = 0;  ///< below 2^63; samples of a seed in different streams are independent
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
class BatchLoss {
 public:
  /// For batches of shape `input`.
  /// \param images_at_once  gradients and products are computed of so many images after each other
  ///        and added up in a fixed order: fewer take less memory. 0: half of the batch, or all of
  ///        it for kNone. With fewer than all, kNone has memory for no more than these images: each
  ///        call that needs it repeats the forward pass.
  /// \throws InputError if the model does not fit the input, or an option is out of range;
  ///         std::invalid_argument for images_at_once out of range.
  BatchLoss(const Stream& stream, const Model& model, const Shape& input,
            const LossOptions& loss = {}, CurvatureKind kind = CurvatureKind::kGaussNewton,
            int images_at_once = 0);
  ~BatchLoss();
  BatchLoss(BatchLoss&&) noexcept;  ///< the other can then only be assigned to or destroyed
  BatchLoss& operator=(BatchLoss&&) noexcept;  ///< as the move constructor

  const Model& model() const;               ///< of the constructor, as the next three
  const Shape& input_shape() const;         ///< [N,H,W,C]
  CurvatureKind kind() const;               ///< which products it can take
  const LossOptions& loss_options() const;  ///< L
  int images_at_once() const;               ///< of a product, see the constructor

  /// Forward pass at theta on images `x` and `labels` [N,H,W] of the output; labels outside
  /// [0, classes) are ignored. All three must stay as they are while products are taken. With kNone
  /// and fewer images at once than all the forward passes come later, and they must stay until
  /// value() and gradients are there.
  void linearise(ConstVectorView theta, ConstTensorView x, const std::int32_t* labels);

  ConstVectorView theta() const;       ///< of the last linearise(), as the next two
  ConstTensorView x() const;           ///< the images
  const std::int32_t* labels() const;  ///< on the device
  /// The logits [N,H,W,classes]. \throws std::logic_error for kNone with fewer images at once than
  /// all, which keeps none.
  ConstTensorView logits() const;
  /// What layer `node` of Model::nodes() reads, a convolution's x; a dense layer's as
  /// [N,1,1,H·W·C]. \throws std::logic_error for kNone, where it is overwritten.
  ConstTensorView layer_input(int node) const;

  /// L on the device, one float, since value() or gradient().
  const float* loss() const;
  /// The denominator of the mean on the device, one float: Σ class weights of the labels.
  const float* denominator() const;
  /// total[0] (+)= the denominator that `labels` of a batch have, those of `images`, on the device.
  /// \throws std::invalid_argument for no labels, or images that a batch does not have.
  void write_denominator(const std::int32_t* labels, const ImageSubset& images, bool accumulate,
                         float* total) const;

  /// The loss alone. \throws std::logic_error before linearise().
  void value();
  /// grad (+)= dL/dtheta, and the loss. \throws std::logic_error before linearise(), and for kNone
  /// with all images at once when it is not the first time since.
  void gradient(VectorView grad, bool accumulate = false);

  /// to (+)= Σ_n grad_n², and the loss, grad_n the share of image n in the gradient:
  /// Σ_n grad_n = dL/dtheta, so grad_n is over the denominator of the whole batch. Exact for each
  /// image, in about the time of gradient(), from the same kernels. \throws as gradient().
  void squared_gradients(VectorView to, bool accumulate = false);

  /// product (+)= G·v. In arithmetic 4/3 of forward and backward pass together.
  /// \throws std::logic_error before linearise() or for kNone; std::invalid_argument for vectors of
  /// another size, or images that the batch does not have.
  void ggnvp(ConstVectorView v, VectorView product, const ProductOptions& options = {});

  /// product (+)= d²L/dtheta² · v, exact. In arithmetic twice forward and backward pass together
  /// with kHessian, whose first product after linearise(), over other images than the one before,
  /// or with a denominator from outside, begins with half a backward pass of the images up to the
  /// last of them; 7/3 with kLowMemoryHessian. \throws as ggnvp(); std::logic_error unless made for
  /// one of these.
  void hvp(ConstVectorView v, VectorView product, const ProductOptions& options = {});

  // Fisher matrices. Their terms are the pixels that have a label (of a classifier: the images),
  // each with the weight that it has in the loss. With r = softmax − target the gradient of a
  // pixel's cross-entropy with respect to its logits, s its weight (class weights, smoothing), D
  // the denominator and J the rows of the pixel in d logits / d theta:
  //
  //     F = Σ_pixels Jᵀ (s·r·rᵀ) J / D
  //
  // Products of gradients of different pixels of an image do not occur: that would be the Fisher
  // matrix of images as terms, which has another mean.

  /// product (+)= F·v, F the empirical Fisher matrix: the target is that of the loss, the label
  /// with its smoothing; of the mean squared error with s·r = g = 2 (logits − target) and g·gᵀ in
  /// place of s·r·rᵀ. About as fast as ggnvp(). \throws as ggnvp().
  void empirical_fisher_vp(ConstVectorView v, VectorView product,
                           const ProductOptions& options = {});
  /// product (+)= F·v, F the Fisher matrix by Monte Carlo, one sample a pixel: the target is a
  /// class drawn from the model. Its mean over seeds is G·v; a seed alone gives a matrix, so that
  /// products with one seed are products with one F. About as fast as ggnvp(). \throws as ggnvp();
  /// std::logic_error for the mean squared error, whose Fisher matrix is G.
  void fisher_vp(ConstVectorView v, SampledLabels labels, VectorView product,
                 const ProductOptions& options = {});
  /// grad (+)= Σ_pixels Jᵀ √s·r / D with targets drawn from the model: where all weights are 1, the
  /// gradient of the loss with labels from the model. The mean over seeds of D·grad·gradᵀ is G, so
  /// D·grad² estimates its diagonal (Gauss-Newton-Bartlett; Liu et al., "Sophia", ICLR 2024).
  /// \throws as fisher_vp().
  void sampled_gradient(SampledLabels labels, VectorView grad, bool accumulate = false);

  /// The exact quadratic model along one or two directions: form = {d₀ᵀGd₀}, or
  /// {d₀ᵀGd₀, d₀ᵀGd₁, d₁ᵀGd₁}, on the device, with G of the loss of the first `images` of the batch
  /// over the denominator of their labels (0 without labels). An R-forward pass a direction and no
  /// backward pass: 2/3 of a gradient in arithmetic, times images / N.
  /// \throws as ggnvp(); std::invalid_argument for no or more than two directions, or images out of
  /// [1, N].
  void quadratic_form(std::span<const ConstVectorView> directions, int images, float* form);

  /// Device memory of this object.
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How a Gauss-Newton-Bartlett diagonal is estimated.
struct BartlettOptions {
  int samples = 32;        ///< a backward pass each, at least 1
  std::uint64_t seed = 0;  ///< two seeds give independent samples
};

/// diagonal = D · mean over samples of grad², an estimate of diag G without bias: grad is
/// loss.sampled_gradient(), D the denominator of the loss, which is linearised. Overwrites, and
/// waits for it; takes a vector of memory. hutchinson_diagonal() with ggnvp() is the other way.
/// Source: Liu et al., "Sophia", ICLR 2024. \throws as sampled_gradient(); std::invalid_argument
/// for less than one sample, or a diagonal that is not as long as theta.
void gauss_newton_bartlett_diagonal(const Stream& stream, BatchLoss& loss,
                                    const BartlettOptions& options, VectorView diagonal);

}  // namespace curvseg
