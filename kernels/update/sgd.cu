// One step of stochastic gradient descent, with g and θ ← … as in regularise.hpp:
//
//   m ← momentum·m + g,    step = η·(nesterov ? g + momentum·m : m)
//
// Overwrites theta and momentum_buffer. With momentum 0 the step is η·g and momentum_buffer is
// neither read nor written. Source: torch.optim.SGD, dampening 0.
//
// And the squared norm that clipping needs before any update, norm[0] = Σ_i x_i². Overwrites norm.
// Fixed order, squares and sums in double.
#include "exec/exec.hpp"
#include "math/long_sum.hpp"
#include "math/product_sums.hpp"
#include "update/launchers.hpp"
#include "update/regularise.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

enum class Momentum { kNone, kHeavyBall, kNesterov };

template <Momentum Method>
__global__ void sgd_kernel(SgdUpdate p) {
  if (overflowed(p.squared_norm)) return;
  const UpdateScalars scalars = *p.scalars;
  const Regulariser regulariser(p.regularisation, scalars.learning_rate, scalars.max_norm,
                                p.squared_norm);
  float* __restrict__ theta = p.theta;
  float* __restrict__ momentum_buffer = p.momentum_buffer;
  const float* __restrict__ grad = p.grad;
  for (const std::int64_t i : grid_range(p.n)) {
    const float old = theta[i];
    float direction = regulariser.gradient(old, grad[i]);
    if constexpr (Method != Momentum::kNone) {
      const float m = p.momentum * momentum_buffer[i] + direction;
      momentum_buffer[i] = m;
      direction = Method == Momentum::kNesterov ? direction + p.momentum * m : m;
    }
    theta[i] = regulariser.step(old, scalars.learning_rate * direction);
  }
}

constexpr std::int64_t kElementsPerBlock = 16384;  // 64 KiB

__global__ void squared_norm_kernel(SquaredNorm p) {
  const Span span = block_span(p.n);
  const double share = thread_squares(p.x + span.first, span.last - span.first);
  store_partial(share, block_shared<SumShared>().scratch, p.workspace);
}

}  // namespace

void sgd_update(StreamHandle stream, const SgdUpdate& p) {
  if (p.n == 0) return;
  const dim3 grid = grid_for(p.n);
  if (p.momentum == 0.0f)
    launch<sgd_kernel<Momentum::kNone>>(stream, grid, kGridThreads, p);
  else if (p.nesterov)
    launch<sgd_kernel<Momentum::kNesterov>>(stream, grid, kGridThreads, p);
  else
    launch<sgd_kernel<Momentum::kHeavyBall>>(stream, grid, kGridThreads, p);
}

std::int64_t squared_norm_workspace(const SquaredNorm& p) {
  return sum_blocks(p.n, kElementsPerBlock);
}

void squared_norm(StreamHandle stream, const SquaredNorm& p) {
  const std::int64_t blocks = squared_norm_workspace(p);
  if (blocks > 0)
    launch<squared_norm_kernel, SumShared>(stream, dim3{static_cast<unsigned>(blocks), 1, 1},
                                           kSumThreads, p);
  finish_sum(stream, FinishSum{p.workspace, blocks, nullptr, p.norm, false});
}

}  // namespace curvseg::CURVSEG_TARGET
