// result[i] = 1 / (√x[i] + ε). Overwrites.
#include <cmath>

#include "exec/exec.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

__global__ void inverse_roots_kernel(InverseRoots p) {
  for (const std::int64_t i : grid_range(p.n)) p.result[i] = 1.0f / (sqrtf(p.x[i]) + p.epsilon);
}

}  // namespace

void inverse_roots(StreamHandle stream, const InverseRoots& p) {
  if (p.n == 0) return;
  launch<inverse_roots_kernel>(stream, grid_for(p.n), kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
