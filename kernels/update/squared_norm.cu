// The squared Euclidean norm of flat memory:
//
//   norm[0] = Σ_i x_i²
//
// Overwrites norm. Fixed order, squares and sums in double.
#include "math/long_sum.hpp"
#include "update/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr std::int64_t kElementsPerBlock = 16384;  // 64 KiB

__global__ void squared_norm_kernel(SquaredNorm p) {
  const Span span = block_span(p.n);
  const float* x = p.x + span.first;
  const double share = thread_sum<double>(span.last - span.first, [&](std::int64_t i) {
    const double value = x[i];
    return value * value;
  });
  store_partial(share, block_shared<SumShared>().scratch, p.workspace);
}

}  // namespace

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
