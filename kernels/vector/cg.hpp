// Preconditioned conjugate gradients for A·x = b as a fixed list of launches. Plain C++.
//
//   cg_begin         r = b − A·x,  φ(x)                `product` holds A·x; nullptr: x ← 0
//   cg_direction     p = z + β·p,  z = weights ∘ r
//   cg_step_length   α from pᵀA·p                      `product` holds A·p
//   cg_step          x += α·p,  r −= α·A·p,  rᵀr, rᵀz, φ     in one pass; or
//   cg_move          x += α·p,                               and then
//   cg_residual      r = b − A·x,  rᵀr, rᵀz, φ         `product` holds A·x
//
// An iteration is all but the first. φ(x) = ½xᵀA·x − bᵀx = −½xᵀ(b + r). All scalars lie in device
// memory, and so does the decision to stop: from then on every kernel returns at once, so what
// comes out does not depend on how many more iterations were enqueued. Sums are in double and in a
// fixed order.
//
// Sources: Hestenes and Stiefel 1952; stopping on φ: Martens, ICML 2010, section 4.4; trust region:
// Steihaug, SIAM J. Numer. Anal. 20 (1983).
#pragma once

#include <cstdint>

namespace curvseg {

enum class CgStop : std::int32_t {
  kRunning,
  kModel,              // φ hardly decreases any more
  kResidual,           // ‖r‖ ≤ tolerance·‖b‖, where there is a tolerance
  kConverged,          // ‖r‖ ≤ kRounding·‖b‖, or rᵀz = 0: float has no better solution
  kIterations,         // as many as allowed
  kNegativeCurvature,  // pᵀA·p ≤ 0: with a trust region x goes along p to its boundary
  kBoundary,           // x has reached the boundary of the trust region
  kNotFinite,          // a product, a residual or φ is infinite or NaN
};

/// Where a solve stands: device memory, one for a solver.
struct CgScalars {
  // Written by the host before a solve, the rest zero.
  double radius;     // of the trust region; 0: none
  double tolerance;  // of ‖r‖ / ‖b‖

  double alpha, beta;
  double rz, rr, bb;  // rᵀz, rᵀr, bᵀb
  double scale;       // that rᵀr is compared with: bᵀb; where b = 0, rᵀr at the start
  double phi;
  std::int32_t iteration;  // that are done
  std::int32_t kept;       // iterates that are stored
  std::int32_t slot;       // where the one in the making goes, or −1
  CgStop last;             // the step in the making is the last one, for this reason
  CgStop stopped;
};

/// What all kernels of a solve share. Vectors are [n] in device memory.
struct CgProblem {
  static constexpr int kSums = 4;  // of one kernel at most
  /// The recurrence goes on to shrink r when x has long stopped to improve, until its sums
  /// underflow. Floats of the size of b are this far apart, and b − A·x is no better known.
  static constexpr double kRounding = 0x1p-23;

  std::int64_t n = 0;
  const float* b = nullptr;
  const float* weights = nullptr;  // z = weights ∘ r, all ≥ 0; nullptr: z = r
  const float* product = nullptr;
  float* x = nullptr;
  float* r = nullptr;
  float* p = nullptr;

  CgScalars* scalars = nullptr;
  double* phi = nullptr;                  // [max_iterations + 1], φ after each iteration
  const std::int32_t* keep_at = nullptr;  // [slots], ascending: iterations whose x is stored
  std::int32_t slots = 0;
  float* kept = nullptr;        // [slots, n]
  double* workspace = nullptr;  // cg_workspace() floats

  // Rules, fixed for a solver.
  std::int32_t max_iterations = 0;
  std::int32_t window = 10;    // stop on φ over k = max(window, ⌈i/10⌉) iterations:
  double epsilon = 0.0;        // (φ_i − φ_{i−k}) / φ_i < k·ε; 0: never
  bool truncated = false;      // by the radius, ‖x‖² = Σ x_i²,
  bool weighted_norm = false;  // or Σ x_i² / weights_i over weights_i > 0
};

}  // namespace curvseg
