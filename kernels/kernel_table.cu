// Fills this target's table of kernels: its one exported symbol.
#include "kernels.hpp"

#include "conv2d/launchers.hpp"
#include "dense/launchers.hpp"
#include "exec/exec.hpp"
#include "exec/instruction_set.hpp"
#include "loss/launchers.hpp"
#include "metrics/launchers.hpp"
#include "patches/launchers.hpp"
#include "pointwise/launchers.hpp"
#include "pool/launchers.hpp"
#include "quadratic/launchers.hpp"
#include "random/launchers.hpp"
#include "resize/launchers.hpp"
#include "transpose/launchers.hpp"
#include "update/launchers.hpp"
#include "vector/launchers.hpp"

#define CURVSEG_JOIN_(a, b) a##b
#define CURVSEG_JOIN(a, b) CURVSEG_JOIN_(a, b)

extern "C" const curvseg::Kernels* CURVSEG_JOIN(curvseg_kernels_, CURVSEG_TARGET)() {
  using namespace curvseg::CURVSEG_TARGET;
  static constexpr curvseg::Kernels kTable{
      .instruction_set = kInstructionSet,
      .conv2d_gather_workspace = conv2d_gather_workspace,
      .conv2d_gather = conv2d_gather,
      .conv2d_weight_workspace = conv2d_weight_workspace,
      .conv2d_weight_gradient = conv2d_weight_gradient,
      .max_pool_forward = max_pool_forward,
      .max_pool_select = max_pool_select,
      .max_pool_backward = max_pool_backward,
      .average_pool_forward = average_pool_forward,
      .average_pool_backward = average_pool_backward,
      .bilinear_forward = bilinear_forward,
      .bilinear_backward = bilinear_backward,
      .fill = fill,
      .store_words = store_words,
      .copy_pixels = copy_pixels,
      .relu_forward = relu_forward,
      .relu_backward = relu_backward,
      .add_bias = add_bias,
      .channel_sum_workspace = channel_sum_workspace,
      .channel_sum = channel_sum,
      .label_weight_workspace = label_weight_workspace,
      .label_weight = label_weight,
      .softmax_cross_entropy_workspace = softmax_cross_entropy_workspace,
      .softmax_cross_entropy = softmax_cross_entropy,
      .softmax_cross_entropy_hessian = softmax_cross_entropy_hessian,
      .sample_labels = sample_labels,
      .softmax_cross_entropy_fisher = softmax_cross_entropy_fisher,
      .mean_squared_error_workspace = mean_squared_error_workspace,
      .mean_squared_error = mean_squared_error,
      .mean_squared_error_hessian = mean_squared_error_hessian,
      .mean_squared_error_fisher = mean_squared_error_fisher,
      .argmax = argmax,
      .confusion_matrix = confusion_matrix,
      .squared_norm_workspace = squared_norm_workspace,
      .squared_norm = squared_norm,
      .sgd_update = sgd_update,
      .adam_update = adam_update,
      .adam_direction = adam_direction,
      .projected_update_workspace = projected_update_workspace,
      .projected_update = projected_update,
      .preconditioned_update = preconditioned_update,
      .diagonal_mean = diagonal_mean,
      .column_means = column_means,
      .damped_diagonal_update = damped_diagonal_update,
      .inverse_three_quarter_power = inverse_three_quarter_power,
      .advance_mean = advance_mean,
      .judge_loss = judge_loss,
      .quadratic_step = quadratic_step,
      .rate_step = rate_step,
      .guard_step = guard_step,
      .transpose = transpose,
      .random_fill = random_fill,
      .dot_products_workspace = dot_products_workspace,
      .dot_products = dot_products,
      .linear_combination = linear_combination,
      .multiply = multiply,
      .normalise = normalise,
      .add_damping = add_damping,
      .cg_workspace = cg_workspace,
      .cg_begin = cg_begin,
      .cg_direction = cg_direction,
      .cg_step_length = cg_step_length,
      .cg_step = cg_step,
      .cg_move = cg_move,
      .cg_residual = cg_residual,
      .gather_patches = gather_patches,
      .inverse_spd_workspace = inverse_spd_workspace,
      .inverse_spd = inverse_spd,
      .orthonormal_basis_workspace = orthonormal_basis_workspace,
      .orthonormal_basis = orthonormal_basis,
      .symmetric_eigen_workspace = symmetric_eigen_workspace,
      .symmetric_eigen = symmetric_eigen,
  };
  return &kTable;
}
