// The list of what exists: one function pointer a kernel, filled once by every target.
//
// Every function is asynchronous on its stream, validates nothing (host/ops does) and takes one
// trivially copyable aggregate, documented in the header of its folder. A `*_workspace` member
// gives the floats of device memory that a call with these parameters needs.
#pragma once

#include <cstdint>

#include "conv2d/conv2d.hpp"
#include "dense/dense.hpp"
#include "exec/stream.hpp"
#include "loss/loss.hpp"
#include "metrics/metrics.hpp"
#include "patches/patches.hpp"
#include "pointwise/pointwise.hpp"
#include "pool/pool.hpp"
#include "quadratic/quadratic.hpp"
#include "random/random.hpp"
#include "resize/resize.hpp"
#include "transpose/transpose.hpp"
#include "update/update.hpp"
#include "vector/cg.hpp"
#include "vector/vector.hpp"

namespace curvseg {

template <class Params>
using Operation = void (*)(StreamHandle, const Params&);
template <class Params>
using WorkspaceSize = std::int64_t (*)(const Params&);

struct Kernels {
  /// "x86-64-v3", of a host; nullptr where the device tells (Runtime::properties).
  const char* instruction_set;

  // conv2d/: forward and data gradient (also transposed convolution, dense layers), one or two
  // terms, bias / ReLU / mask epilogue; weight gradient, one or two terms.
  WorkspaceSize<Conv2dGather> conv2d_gather_workspace;
  Operation<Conv2dGather> conv2d_gather;
  WorkspaceSize<Conv2dWeightGradient> conv2d_weight_workspace;
  Operation<Conv2dWeightGradient> conv2d_weight_gradient;

  // pool/
  Operation<MaxPoolForward> max_pool_forward;
  Operation<MaxPoolSelect> max_pool_select;
  Operation<MaxPoolBackward> max_pool_backward;
  Operation<AveragePoolForward> average_pool_forward;
  Operation<AveragePoolBackward> average_pool_backward;

  // resize/: bilinear
  Operation<BilinearForward> bilinear_forward;
  Operation<BilinearBackward> bilinear_backward;

  // pointwise/
  Operation<Fill> fill;
  Operation<StoreWords> store_words;
  Operation<CopyPixels> copy_pixels;
  Operation<ReluForward> relu_forward;
  Operation<ReluBackward> relu_backward;
  Operation<AddBias> add_bias;
  WorkspaceSize<ChannelSum> channel_sum_workspace;
  Operation<ChannelSum> channel_sum;

  // loss/
  WorkspaceSize<LabelWeight> label_weight_workspace;
  Operation<LabelWeight> label_weight;
  WorkspaceSize<SoftmaxCrossEntropy> softmax_cross_entropy_workspace;
  Operation<SoftmaxCrossEntropy> softmax_cross_entropy;
  Operation<SoftmaxCrossEntropyHessian> softmax_cross_entropy_hessian;
  Operation<SampleLabels> sample_labels;
  Operation<SoftmaxCrossEntropyFisher> softmax_cross_entropy_fisher;
  WorkspaceSize<MeanSquaredError> mean_squared_error_workspace;
  Operation<MeanSquaredError> mean_squared_error;
  Operation<MeanSquaredErrorHessian> mean_squared_error_hessian;
  Operation<MeanSquaredErrorFisher> mean_squared_error_fisher;

  // metrics/
  Operation<Argmax> argmax;
  Operation<ConfusionMatrix> confusion_matrix;

  // update/
  WorkspaceSize<SquaredNorm> squared_norm_workspace;
  Operation<SquaredNorm> squared_norm;
  Operation<SgdUpdate> sgd_update;
  Operation<AdamUpdate> adam_update;
  Operation<AdamDirection> adam_direction;
  WorkspaceSize<ProjectedUpdate> projected_update_workspace;
  Operation<ProjectedUpdate> projected_update;
  Operation<PreconditionedUpdate> preconditioned_update;
  Operation<DiagonalMean> diagonal_mean;
  Operation<ColumnMeans> column_means;
  Operation<DampedDiagonalUpdate> damped_diagonal_update;
  Operation<InverseThreeQuarterPower> inverse_three_quarter_power;

  // quadratic/: steps from a two-dimensional quadratic model
  Operation<AdvanceMean> advance_mean;
  Operation<JudgeLoss> judge_loss;
  Operation<QuadraticStep> quadratic_step;
  Operation<RateStep> rate_step;
  Operation<GuardStep> guard_step;

  // transpose/
  Operation<Transpose> transpose;

  // random/
  Operation<RandomFill> random_fill;

  // vector/: algebra over flat memory
  WorkspaceSize<DotProducts> dot_products_workspace;
  Operation<DotProducts> dot_products;
  Operation<LinearCombination> linear_combination;
  Operation<ElementwiseProduct> multiply;
  Operation<Normalise> normalise;
  // conjugate gradients, in the order of vector/cg.hpp
  Operation<AddDamping> add_damping;
  WorkspaceSize<CgProblem> cg_workspace;
  Operation<CgProblem> cg_begin;
  Operation<CgProblem> cg_direction;
  Operation<CgProblem> cg_step_length;
  Operation<CgProblem> cg_step;
  Operation<CgProblem> cg_move;
  Operation<CgProblem> cg_residual;

  // patches/: im2col rows at random positions
  Operation<GatherPatches> gather_patches;

  // dense/: factorisations of small symmetric matrices, up to kDenseBatch in a call
  WorkspaceSize<InverseSpd> inverse_spd_workspace;
  Operation<InverseSpd> inverse_spd;
  WorkspaceSize<OrthonormalBasis> orthonormal_basis_workspace;
  Operation<OrthonormalBasis> orthonormal_basis;
  WorkspaceSize<SymmetricEigen> symmetric_eigen_workspace;
  Operation<SymmetricEigen> symmetric_eigen;
};

}  // namespace curvseg
