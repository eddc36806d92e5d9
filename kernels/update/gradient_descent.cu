// Gradient descent that is corrected: by a set that theta stays in, or by a diagonal.
//
//   projected_update:       θ ← clamp(s·(θ − f·η·clip·grad), low, high)
//   preconditioned_update:  v ← keep·v + take·value,  θ ← θ − f·η·clip·grad / (v + damping)
//   inverse_three_quarter_power:  to = (x + damping)^−¾
//
// with clip as in regularise.hpp (updates do nothing where f is 0), and s = min(1, radius / ‖θ −
// f·η·clip·grad‖), which is a pass of its own, in double and in a fixed order. Overwrites theta, v
// and `to`. The projections are those of Euclidean space: what is nearest. Sources: Goldstein,
// Bull. AMS 70 (1964); the power: Martens, ICML 2010, section 4.7.
#include <cmath>

#include "exec/exec.hpp"
#include "math/long_sum.hpp"
#include "quadratic/quadratic.hpp"
#include "update/launchers.hpp"
#include "update/regularise.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr std::int64_t kElementsPerBlock = 16384;  // 64 KiB

/// θ − f·η·clip·grad, element by element.
class Move {
 public:
  template <class Update>
  explicit __device__ __forceinline__ Move(const Update& p)
      : factor_(p.factor != nullptr ? *p.factor : 1.0f),
        rate_(factor_ * p.scalars->learning_rate),
        clip_(Regularisation{}, rate_, p.scalars->max_norm, p.squared_norm) {}

  /// f = 0: gradient and norm may be NaN then, and 0 times them too.
  __device__ __forceinline__ bool rejected() const { return factor_ == 0.0f; }

  /// `scale` is the preconditioner's.
  __device__ __forceinline__ float operator()(float theta, float grad, float scale = 1.0f) const {
    return theta - rate_ * (clip_.gradient(theta, grad) * scale);
  }

 private:
  float factor_, rate_;
  Regulariser clip_;
};

__device__ __forceinline__ float clamp(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;  // NaN stays one
}

__global__ void moved_norm_kernel(ProjectedUpdate p) {
  const Move move(p);
  const Span span = block_span(p.n);
  const double share = thread_sum<double>(span.last - span.first, [&](std::int64_t i) {
    const std::int64_t at = span.first + i;
    const double value = move(p.theta[at], p.grad[at]);
    return value * value;
  });
  store_partial(share, block_shared<SumShared>().scratch, p.workspace + 1);
}

__global__ void projected_update_kernel(ProjectedUpdate p) {
  const Move move(p);
  if (move.rejected()) return;
  float scale = 1.0f;
  if (p.radius > 0.0f) {
    const float norm = sqrtf(p.workspace[0]);
    scale = norm > p.radius ? p.radius / norm : norm - norm + 1.0f;  // not finite: NaN
  }
  float* __restrict__ theta = p.theta;
  const float* __restrict__ grad = p.grad;
  for (const std::int64_t i : grid_range(p.n))
    theta[i] = clamp(scale * move(theta[i], grad[i]), p.low, p.high);
}

__global__ void preconditioned_update_kernel(PreconditionedUpdate p) {
  const Move move(p);
  if (move.rejected()) return;
  float* __restrict__ theta = p.theta;
  const float* __restrict__ grad = p.grad;
  const float* __restrict__ inverse = p.inverse;
  for (const std::int64_t i : grid_range(p.n)) theta[i] = move(theta[i], grad[i], inverse[i]);
}

__global__ void mean_preconditioned_update_kernel(PreconditionedUpdate p) {
  const Move move(p);
  if (move.rejected()) return;
  const float keep = p.weights->keep, take = p.weights->take;
  float* __restrict__ theta = p.theta;
  float* __restrict__ mean = p.v;
  const float* __restrict__ grad = p.grad;
  const float* __restrict__ value = p.value;
  for (const std::int64_t i : grid_range(p.n)) {
    const float v = keep * mean[i] + take * value[i];
    mean[i] = v;
    theta[i] = move(theta[i], grad[i], 1.0f / (v + p.damping));
  }
}

__global__ void inverse_three_quarter_power_kernel(InverseThreeQuarterPower p) {
  const float damping = *p.damping;
  for (const std::int64_t i : grid_range(p.n)) {
    const float root = sqrtf(p.x[i] + damping);
    p.to[i] = 1.0f / (root * sqrtf(root));
  }
}

std::int64_t norm_blocks(const ProjectedUpdate& p) { return sum_blocks(p.n, kElementsPerBlock); }

}  // namespace

/// The squared norm, then the partial sums.
std::int64_t projected_update_workspace(const ProjectedUpdate& p) {
  return p.radius > 0.0f ? 1 + norm_blocks(p) : 0;
}

void projected_update(StreamHandle stream, const ProjectedUpdate& p) {
  if (p.n == 0) return;
  if (p.radius > 0.0f) {
    const std::int64_t blocks = norm_blocks(p);
    launch<moved_norm_kernel, SumShared>(stream, dim3{static_cast<unsigned>(blocks), 1, 1},
                                         kSumThreads, p);
    finish_sum(stream, FinishSum{p.workspace + 1, blocks, nullptr, p.workspace, false});
  }
  launch<projected_update_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

void preconditioned_update(StreamHandle stream, const PreconditionedUpdate& p) {
  if (p.n == 0) return;
  if (p.inverse != nullptr)
    launch<preconditioned_update_kernel>(stream, grid_for(p.n), kGridThreads, p);
  else
    launch<mean_preconditioned_update_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

void inverse_three_quarter_power(StreamHandle stream, const InverseThreeQuarterPower& p) {
  if (p.n == 0) return;
  launch<inverse_three_quarter_power_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
