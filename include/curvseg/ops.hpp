/// \file
/// The kernels of layers, losses, metrics, vector algebra, patches and dense factorisations as
/// functions: each checks its arguments, throws with both sides of a disagreement, then enqueues on
/// a stream and returns. Nothing here allocates or waits. Kernels that only optimisers, solvers and
/// models need have no function: updates of parameters, norms of gradients, judging and scaling
/// steps, transposition, random numbers, the steps of conjugate gradients.
///
/// Memory is the caller's, on the stream's device. Tensors are NHWC views with a pixel stride;
/// filters are [R,S,C,K]. All functions are asynchronous on a GPU and throw
/// std::invalid_argument for arguments that do not fit together or for sizes that are negative or
/// beyond 64 bits, TargetError for a refused launch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "curvseg/convolution.hpp"
#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Scratch memory of a call, 16-byte aligned; its contents mean nothing afterwards. Each function
/// that needs some has a query of the same name with `_workspace`, which tells bytes.
struct Workspace {
  void* data = nullptr;   ///< on the stream's device; nullptr for calls that need none
  std::size_t bytes = 0;  ///< at least those that the query tells
};

// ---- convolution -------------------------------------------------------------------------------

/// Geometry of a convolution.
struct Conv2dGeometry {
  int stride_h = 1;    ///< rows of x from one row of y to the next, at least 1
  int stride_w = 1;    ///< likewise columns
  int pad_h = 0;       ///< rows of zeros above x and below it, at least 0
  int pad_w = 0;       ///< columns of zeros on the left of x and on the right, at least 0
  int dilation_h = 1;  ///< rows of x from one filter row to the next, at least 1
  int dilation_w = 1;  ///< likewise columns
  int groups = 1;      ///< 1: others are refused for now
  ConvAlgorithm algorithm = ConvAlgorithm::kAutomatic;  ///< how it is computed
  /// Member by member.
  friend bool operator==(const Conv2dGeometry&, const Conv2dGeometry&) = default;
};

/// P = ⌊(H + 2·pad − dilation·(R−1) − 1) / stride⌋ + 1, likewise Q; 0 if the filter does not fit.
Shape conv2d_output_shape(const Shape& x, const ConstFilterView& w, const Conv2dGeometry& geometry);

/// One term of a sum of convolutions.
struct Conv2dOperands {
  ConstTensorView x;  ///< forward: x [N,H,W,C]; data gradient: dy [N,P,Q,K]
  ConstFilterView w;  ///< [R,S,C,K], R and S the same in all terms
};

/// What conv2d_forward() does beside the sum.
struct Conv2dForwardOptions {
  Conv2dGeometry geometry = {};  ///< of all terms
  ConstVectorView bias = {};     ///< [K]; empty: none
  bool relu = false;             ///< y = max(y, 0) after the bias, before the mask; NaN stays NaN
  ConstTensorView mask = {};     ///< empty, or: zero the output where mask ≤ 0 (ReLU's R-pass)
  bool accumulate = false;       ///< add to y instead of overwriting, before bias and ReLU
};

/// y = relu?( Σ_t x_t ⊛ w_t + bias ), one or two terms: two are the R-pass
/// Ry = Rx ⊛ w + x ⊛ Rw in one pass over one accumulator.
void conv2d_forward(const Stream& stream, std::span<const Conv2dOperands> terms,
                    const Conv2dForwardOptions& options, Workspace workspace, TensorView y);
/// The same with one term.
void conv2d_forward(const Stream& stream, ConstTensorView x, ConstFilterView w,
                    const Conv2dForwardOptions& options, Workspace workspace, TensorView y);
/// Bytes of scratch memory for conv2d_forward().
std::size_t conv2d_forward_workspace(const Device& device, const Shape& x, const ConstFilterView& w,
                                     const Conv2dGeometry& geometry, int terms = 1);

/// What conv2d_backward_data() does beside the sum.
struct Conv2dBackwardDataOptions {
  Conv2dGeometry geometry = {};  ///< of the convolution that this is the gradient of
  /// Empty, or: zero dx where mask ≤ 0, in the first mask.shape.c channels.
  ConstTensorView mask = {};
  bool accumulate = false;  ///< add to dx (whose old values are masked already)
};

/// dx = Σ_t dy_t ⊛ᵀ w_t: the gradient of conv2d_forward with respect to x.
void conv2d_backward_data(const Stream& stream, std::span<const Conv2dOperands> terms,
                          const Conv2dBackwardDataOptions& options, Workspace workspace,
                          TensorView dx);
/// The same with one term.
void conv2d_backward_data(const Stream& stream, ConstTensorView dy, ConstFilterView w,
                          const Conv2dBackwardDataOptions& options, Workspace workspace,
                          TensorView dx);
/// Bytes of scratch memory for conv2d_backward_data().
std::size_t conv2d_backward_data_workspace(const Device& device, const Shape& dx,
                                           const ConstFilterView& w, const Conv2dGeometry& geometry,
                                           int terms = 1);

/// One term of a sum of weight gradients.
struct Conv2dGradientOperands {
  ConstTensorView x;   ///< what the layer read: [N,H,W,C], if it is transposed [N,P,Q,K]
  ConstTensorView dy;  ///< of what it wrote: [N,P,Q,K], if it is transposed [N,H,W,C]
};

/// dw[r,s,c,k] = Σ_t Σ_{n,p,q} x_t[…] · dy_t[n,p,q,k] (+ dw if `accumulate`).
void conv2d_backward_weights(const Stream& stream, std::span<const Conv2dGradientOperands> terms,
                             const Conv2dGeometry& geometry, bool accumulate, Workspace workspace,
                             FilterView dw);
/// The same with one term.
void conv2d_backward_weights(const Stream& stream, ConstTensorView x, ConstTensorView dy,
                             const Conv2dGeometry& geometry, bool accumulate, Workspace workspace,
                             FilterView dw);
/// Bytes of scratch memory for conv2d_backward_weights().
std::size_t conv2d_backward_weights_workspace(const Device& device, const Shape& x,
                                              const ConstFilterView& w,
                                              const Conv2dGeometry& geometry);

/// dw[r,s,c,k] = Σ_n (Σ_{p,q} x[n,…] · dy[n,p,q,k])² (+ dw if `accumulate`): the gradient that each
/// image has alone, squared and added. In the workspace and about the time of
/// conv2d_backward_weights(), from the same kernel.
void conv2d_backward_weights_squared(const Stream& stream, ConstTensorView x, ConstTensorView dy,
                                     const Conv2dGeometry& geometry, bool accumulate,
                                     Workspace workspace, FilterView dw);

/// db[k] = Σ_{n,p,q} dy[n,p,q,k] (+ db if `accumulate`).
void conv2d_backward_bias(const Stream& stream, ConstTensorView dy, bool accumulate,
                          Workspace workspace, VectorView db);
/// db[k] = Σ_n (Σ_{p,q} dy[n,p,q,k])² (+ db if `accumulate`), in the workspace of
/// conv2d_backward_bias().
void conv2d_backward_bias_squared(const Stream& stream, ConstTensorView dy, bool accumulate,
                                  Workspace workspace, VectorView db);
/// Bytes of scratch memory for conv2d_backward_bias().
std::size_t conv2d_backward_bias_workspace(const Device& device, const Shape& dy);

// Transposed convolution: the adjoint of a convolution. Its filter is the filter of that
// convolution, so w is [R,S,C,K] with C the channels it writes and K the channels it reads; its
// output size is given by y (any size whose convolution has x's size).

/// y = Σ_t x_t ⊛ᵀ w_t + bias (the bias has C entries), then ReLU if asked for.
void conv2d_transpose_forward(const Stream& stream, std::span<const Conv2dOperands> terms,
                              const Conv2dForwardOptions& options, Workspace workspace,
                              TensorView y);
/// dx = Σ_t dy_t ⊛ w_t
void conv2d_transpose_backward_data(const Stream& stream, std::span<const Conv2dOperands> terms,
                                    const Conv2dBackwardDataOptions& options, Workspace workspace,
                                    TensorView dx);
/// dw[r,s,c,k] = Σ_t Σ dy_t[…, c] · x_t[…, k] (+ dw if `accumulate`)
void conv2d_transpose_backward_weights(const Stream& stream,
                                       std::span<const Conv2dGradientOperands> terms,
                                       const Conv2dGeometry& geometry, bool accumulate,
                                       Workspace workspace, FilterView dw);
/// dw[r,s,c,k] = Σ_n (Σ dy[n,…,c] · x[n,…,k])² (+ dw if `accumulate`), in the workspace of
/// conv2d_transpose_backward_weights().
void conv2d_transpose_backward_weights_squared(const Stream& stream, ConstTensorView x,
                                               ConstTensorView dy, const Conv2dGeometry& geometry,
                                               bool accumulate, Workspace workspace, FilterView dw);
/// Bytes of scratch memory for conv2d_transpose_forward().
std::size_t conv2d_transpose_forward_workspace(const Device& device, const Shape& y,
                                               const ConstFilterView& w,
                                               const Conv2dGeometry& geometry, int terms = 1);
/// Bytes of scratch memory for conv2d_transpose_backward_data().
std::size_t conv2d_transpose_backward_data_workspace(const Device& device, const Shape& dy,
                                                     const ConstFilterView& w,
                                                     const Conv2dGeometry& geometry, int terms = 1);
/// Bytes of scratch memory for conv2d_transpose_backward_weights().
std::size_t conv2d_transpose_backward_weights_workspace(const Device& device, const Shape& dy,
                                                        const ConstFilterView& w,
                                                        const Conv2dGeometry& geometry);

// ---- pooling and resizing ----------------------------------------------------------------------

/// Geometry of a pooling: windows of R x S pixels, at most 65536 of them.
struct PoolWindow {
  int r = 2;         ///< rows, at least 1
  int s = 2;         ///< columns, at least 1
  int stride_h = 2;  ///< rows of x from one row of y to the next, at least 1
  int stride_w = 2;  ///< likewise columns
  int pad_h = 0;     ///< rows above x and below it, at most R/2
  int pad_w = 0;     ///< columns on the left of x and on the right, at most S/2
};

/// P = ⌊(H + 2·pad − R) / stride⌋ + 1, likewise Q.
Shape pool_output_shape(const Shape& x, const PoolWindow& window);

/// y = maximum of each window; `index` [N,P,Q,C] (may be nullptr) keeps the winners for the other
/// passes, as r·S + s. Padding is −inf, the first maximum in (r,s) order wins, NaN wins.
void max_pool_forward(const Stream& stream, ConstTensorView x, const PoolWindow& window,
                      TensorView y, std::uint16_t* index);
/// y = x at the stored winners: the R-pass.
void max_pool_select(const Stream& stream, ConstTensorView x, const std::uint16_t* index,
                     const PoolWindow& window, TensorView y);

/// What a gradient with respect to an activation does beside its formula.
struct GradientOptions {
  ConstTensorView mask = {};  ///< empty, or: zero dx where mask ≤ 0
  bool accumulate = false;    ///< add to dx (whose old values are masked already)
};
/// dx[n,h,w,c] = Σ dy over the windows that the element has won, 0 if it has won none.
void max_pool_backward(const Stream& stream, ConstTensorView dy, const std::uint16_t* index,
                       const PoolWindow& window, const GradientOptions& options, TensorView dx);
/// y = mean of each window, over its pixels inside x or, with `count_include_pad`, over R·S.
void average_pool_forward(const Stream& stream, ConstTensorView x, const PoolWindow& window,
                          bool count_include_pad, TensorView y);
/// The gradient of average_pool_forward() with respect to x.
void average_pool_backward(const Stream& stream, ConstTensorView dy, const PoolWindow& window,
                           bool count_include_pad, const GradientOptions& options, TensorView dx);

/// y[n,p,q,c] = x at ((p + ½)·H/P − ½, (q + ½)·W/Q − ½), clamped to its pixels, bilinear:
/// half-pixel centres. Heights and widths are below 2^29.
void bilinear_forward(const Stream& stream, ConstTensorView x, TensorView y);
/// The gradient of bilinear_forward() with respect to x.
void bilinear_backward(const Stream& stream, ConstTensorView dy, const GradientOptions& options,
                       TensorView dx);

// ---- pointwise ---------------------------------------------------------------------------------

/// to[i] = value
void fill(const Stream& stream, VectorView to, float value);
/// y = x < 0 ? 0 : x; NaN stays NaN.
void relu_forward(const Stream& stream, ConstTensorView x, TensorView y);
/// dx = y > 0 ? dy : 0 (+ dx if `accumulate`), y the output of relu_forward.
void relu_backward(const Stream& stream, ConstTensorView y, ConstTensorView dy, bool accumulate,
                   TensorView dx);
/// to = scale · from (+ to if `accumulate`); with scale 0 `from` is not read, as in BLAS.
void copy_tensor(const Stream& stream, ConstTensorView from, float scale, bool accumulate,
                 TensorView to);
/// y = x + b, b [C] added to every pixel.
void add_bias(const Stream& stream, ConstTensorView x, ConstVectorView b, TensorView y);

// ---- vectors -----------------------------------------------------------------------------------

/// Two vectors of one length.
struct VectorPair {
  ConstVectorView x;  ///< [size]; the order of x and y does not matter
  ConstVectorView y;  ///< [size]; x for Σ_i x[i]²
};

/// result[j] = Σ_i x_j[i]·y_j[i] for up to 6 pairs of vectors, all of one length; `result` is
/// device memory, one float a pair. Overwrites. Products and sums are in double and in a fixed
/// order: each result is within 2^-23 · Σ_i |x_j[i]·y_j[i]|, whatever the length. A vector that
/// stands in several pairs is read from memory once. Asynchronous.
void dot_products(const Stream& stream, std::span<const VectorPair> pairs, Workspace workspace,
                  float* result);
/// The same, for pairs in braces.
void dot_products(const Stream& stream, std::initializer_list<VectorPair> pairs,
                  Workspace workspace, float* result);
/// Bytes of scratch memory for dot_products() of `pairs` pairs of `size` elements.
std::size_t dot_products_workspace(const Device& device, std::int64_t size, int pairs);

/// One vector of a sum, times a number that the host knows and a quotient that the device knows.
struct VectorTerm {
  ConstVectorView x;                   ///< not read where a factor is 0
  float scale = 1.0f;                  ///< of the host, taken at the call
  const float* coefficient = nullptr;  ///< device, one float; nullptr: 1
  const float* divisor = nullptr;      ///< as `coefficient`; a vector over 0 counts as 0
};

/// to = Σ_j scale_j · coefficient_j / divisor_j · x_j for 1 to 4 vectors as long as `to`, added in
/// their order. Overwrites `to`, which may be one of the x_j. A vector with a factor of 0 is not
/// read, as in BLAS. Asynchronous: device memory is read when the stream gets there.
void linear_combination(const Stream& stream, std::span<const VectorTerm> terms, VectorView to);
/// The same, for terms in braces: `linear_combination(stream, {{x}, {v, -1.0f, alpha}}, x)`.
void linear_combination(const Stream& stream, std::initializer_list<VectorTerm> terms,
                        VectorView to);

/// to = scale · x∘y, element by element (+ to if `accumulate`). `to` may be x or y. Asynchronous.
void multiply(const Stream& stream, ConstVectorView x, ConstVectorView y, float scale,
              bool accumulate, VectorView to);
/// to += (lambda[0]·d + l2)·v, element by element: the damping of a curvature product, and the
/// curvature of an L2 term l2/2·‖theta‖². `lambda` is device memory, read when the stream gets
/// there; nullptr: 0. An empty `d` stands for ones. `to` may be v. Asynchronous.
void add_damping(const Stream& stream, ConstVectorView v, const float* lambda, ConstVectorView d,
                 float l2, VectorView to);

// ---- losses and metrics ------------------------------------------------------------------------

/// Weights and smoothing of the labels.
struct CrossEntropyOptions {
  ConstVectorView class_weights = {};  ///< [C] on the device; empty: all 1
  float label_smoothing = 0.0f;        ///< ε in [0, 1], the part that all classes share
};

/// total[0] = Σ class weight of the labels in [0, C): the denominator of the loss (+ total[0] if
/// `accumulate`, for a loss over several mini-batches). `labels` [N,H,W].
void label_weight(const Stream& stream, const std::int32_t* labels, std::int64_t pixels,
                  int classes, const CrossEntropyOptions& options, bool accumulate,
                  Workspace workspace, float* total);
/// Mean weighted cross-entropy of p = softmax(logits) per pixel and its gradient, in one pass:
///   loss[0] = Σ_pixels −Σ_c q_c·log p_c / D,   dlogits = (s·p − q) / D,   D = denominator[0],
///   q_c = (1−ε)·w_y·[c = y] + (ε/C)·w_c,   s = Σ_c q_c,   y the label, w the class weights.
/// (+ loss[0] if `accumulate`; `dlogits`, which may be empty, is overwritten.) Pixels whose label
/// is outside [0, C) add nothing and get dlogits = 0; so do all where D = 0. Asynchronous.
void softmax_cross_entropy(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                           const float* denominator, const CrossEntropyOptions& options,
                           bool accumulate, Workspace workspace, float* loss, TensorView dlogits);
/// loss[0] = Σ (x − target)² / D (+ loss[0] if `accumulate`), dx = 2 (x − target) / D with
/// D = denominator[0]; 0 where D = 0. Overwrites `dx`, which may be empty. Asynchronous.
void mean_squared_error(const Stream& stream, ConstTensorView x, ConstTensorView target,
                        const float* denominator, bool accumulate, Workspace workspace, float* loss,
                        TensorView dx);
/// The same against one-hot targets: 1 at a pixel's label, 0 elsewhere. `labels` [N,H,W]; pixels
/// whose label is outside [0, C) add nothing and get dx = 0.
void mean_squared_error(const Stream& stream, ConstTensorView x, const std::int32_t* labels,
                        const float* denominator, bool accumulate, Workspace workspace, float* loss,
                        TensorView dx);
/// hu = H·u, H the Hessian of softmax_cross_entropy() with respect to the logits: per pixel
/// s·(diag p − p pᵀ) / denominator[0], p and s as there. Overwrites `hu`, which may be `u`.
/// Asynchronous.
void softmax_cross_entropy_hessian(const Stream& stream, ConstTensorView logits,
                                   const std::int32_t* labels, const float* denominator,
                                   const CrossEntropyOptions& options, ConstTensorView u,
                                   TensorView hu);
/// sampled[p] ~ softmax(logits[p]), a class a pixel, the same on every target for the same
/// seed[0], which lies on the device, `seed_stream` and p; kIgnoreLabel where labels[p] is outside
/// [0, C). `labels` and `sampled` [N,H,W]. Overwrites. Asynchronous.
void sample_labels(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                   const unsigned long long* seed, std::uint64_t seed_stream,
                   std::int32_t* sampled);
/// fu = F·u, F a Fisher matrix of softmax_cross_entropy() with respect to the logits, its terms the
/// pixels: per pixel s·r·rᵀ / denominator[0] with r = p − target, p, q and s as there. The target
/// is that of the loss, q / s, which makes F the empirical Fisher matrix, or one-hot the class
/// `sampled` (may be nullptr) of the pixel. With an empty `u` its root, fu = √s·r / denominator[0].
/// Overwrites `fu`, which may be `u`. Asynchronous.
void softmax_cross_entropy_fisher(const Stream& stream, ConstTensorView logits,
                                  const std::int32_t* labels, const std::int32_t* sampled,
                                  const float* denominator, const CrossEntropyOptions& options,
                                  ConstTensorView u, TensorView fu);
/// fu = g·(gᵀu) / denominator[0] per pixel, g = 2 (x − t) with t one-hot as in
/// mean_squared_error(): its empirical Fisher matrix, the pixels its terms. Overwrites `fu`, which
/// may be `u`. Asynchronous.
void mean_squared_error_fisher(const Stream& stream, ConstTensorView x, const std::int32_t* labels,
                               const float* denominator, ConstTensorView u, TensorView fu);
/// hu = 2·u / denominator[0]: the Hessian of mean_squared_error() with respect to x, times u; with
/// `labels` (may be nullptr) 0 at pixels without one. Overwrites `hu`, which may be `u`.
/// Asynchronous.
void mean_squared_error_hessian(const Stream& stream, const std::int32_t* labels,
                                const float* denominator, ConstTensorView u, TensorView hu);
/// Bytes for any of the loss functions above on a tensor of this shape.
std::size_t loss_workspace(const Device& device, const Shape& logits);

/// label[pixel] = the class of the largest logit; the first of equals, a NaN before all.
void argmax(const Stream& stream, ConstTensorView logits, std::int32_t* label);
/// matrix[truth·C + prediction] += 1 per pixel whose truth is in [0, C).
void confusion_matrix(const Stream& stream, const std::int32_t* truth,
                      const std::int32_t* prediction, std::int64_t pixels, int classes,
                      unsigned long long* matrix);

// ---- patches and dense factorisations ----------------------------------------------------------

/// What gather_patches() does beside its formula.
struct GatherPatchesOptions {
  Conv2dGeometry geometry = {};  ///< of the convolution that reads the patches
  bool append_one = false;       ///< one more column: a patch's 1, as the bias sees it
  std::uint32_t stream = 0;      ///< of the seed: a number of its own for every layer
  const float* scale = nullptr;  ///< one float on the device; nullptr: 1
};

/// The patches of x under an R x S filter as rows, [positions, R·S·C (+ 1)]:
///   rows[t, (r·S + s)·C + c] = f · x[n, p·stride_h − pad_h + r·dilation_h, q·stride_w − …, c]
///   rows[t, R·S·C] = f         (append_one)
/// x is zero outside its bounds; a row has the order of the filter's memory [R,S,C]. (n, p, q) is
/// output position π_t of the M = N·P·Q that the convolution has: π_t = ⌊(t + u_t)·M/positions⌋,
/// one random position a stratum, u_t uniform in [0, 1) by (seed, step, stream, t) alone. With
/// positions ≥ M all M in order, and then rows of zeros. f = scale / √min(positions, M), so that
/// rowsᵀ·rows is the mean of the outer products of patches (times scale²).
///
/// `seed_and_step` are two numbers on the device (not read where positions ≥ M; a seed of its own,
/// other random numbers of the same seed are not independent). `positions` is the number of rows;
/// positions·M is below 2^62. Overwrites rows, but nothing between them. Asynchronous.
void gather_patches(const Stream& stream, ConstTensorView x, int r, int s,
                    const GatherPatchesOptions& options, const std::uint64_t* seed_and_step,
                    MatrixView rows);

/// Largest number of matrices of one call below.
inline constexpr int kLargestMatrixBatch = 32;

/// One matrix of inverse_spd(), n x n, n at most 16384. `inverse` may be `a`.
struct InverseSpdOperands {
  ConstMatrixView a;      ///< symmetric
  MatrixView inverse;     ///< as large as a
  int* status = nullptr;  ///< on the device, may be nullptr: 0, or 1 for a failure
};
/// What inverse_spd() adds to the diagonals: absolute + relative · (mean eigenvalue).
struct Damping {
  float relative = 0.0f;               ///< in mean eigenvalues, trace(A)/n
  float absolute = 0.0f;               ///< in the unit of A
  const float* from_device = nullptr;  ///< {relative, absolute} on the device, instead of the two
};
/// inverse = (A + (absolute + relative · trace(A)/n)·I)⁻¹ for every matrix, by Cholesky
/// factorisation (Golub and Van Loan, Matrix Computations, section 4.2). Overwrites both triangles.
/// Where A has a value that is not finite, or the damped matrix is not positive definite, the
/// inverse is left as it was and the status says so. Asynchronous on a GPU.
void inverse_spd(const Stream& stream, std::span<const InverseSpdOperands> matrices,
                 const Damping& damping, Workspace workspace);
/// Bytes of scratch memory for inverse_spd() of matrices of these sizes n. The first call on a
/// device may allocate a library's handle.
std::size_t inverse_spd_workspace(const Device& device, std::span<const int> sizes);

/// One matrix of orthonormal_basis(), n x n, n at most 16384. `q` may be `m`.
struct OrthonormalBasisOperands {
  ConstMatrixView m;      ///< square, of any kind
  MatrixView q;           ///< as large as m; its columns are the basis
  int* status = nullptr;  ///< on the device, may be nullptr: 0, or 1 for a failure
};
/// q = the Q of M = QR with R's diagonal ≥ 0, for every matrix, by Householder reflections (Golub
/// and Van Loan, section 5.2): unique, and continuous in M, where M is regular. Overwrites, unless
/// M has a value that is not finite; then as for inverse_spd(). Asynchronous on a GPU.
void orthonormal_basis(const Stream& stream, std::span<const OrthonormalBasisOperands> matrices,
                       Workspace workspace);
/// Bytes of scratch memory for orthonormal_basis(), see inverse_spd_workspace().
std::size_t orthonormal_basis_workspace(const Device& device, std::span<const int> sizes);

/// One matrix of symmetric_eigen(), n x n, n at most 16384. `vectors` may be `a`.
struct SymmetricEigenOperands {
  ConstMatrixView a;      ///< symmetric
  VectorView values;      ///< [n]
  MatrixView vectors;     ///< as large as a, an eigenvector a column
  int* status = nullptr;  ///< on the device, may be nullptr: 0, or 1 for a failure
};
/// A = V diag(values) Vᵀ for every matrix, values ascending; column k of `vectors` belongs to
/// values[k], has length 1 and either sign. By tridiagonal QL or divide and conquer (Golub and Van
/// Loan, sections 8.3 and 8.4). Overwrites, unless A has a value that is not finite or the
/// iteration does not converge; then as for inverse_spd(). Asynchronous on a GPU.
void symmetric_eigen(const Stream& stream, std::span<const SymmetricEigenOperands> matrices,
                     Workspace workspace);
/// Bytes of scratch memory for symmetric_eigen(), see inverse_spd_workspace().
std::size_t symmetric_eigen_workspace(const Device& device, std::span<const int> sizes);

}  // namespace curvseg
