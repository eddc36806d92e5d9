// Several inner products of flat vectors in one pass over memory:
//
//   result[j] = Σ_i x_j[i]·y_j[i],   j < count
//
// Overwrites result. Products of floats are exact in double and sums are in double; a block's sum
// is rounded to float once (math/long_sum.hpp). How a sum is cut depends on n alone.
#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"
#include "math/long_sum.hpp"
#include "math/product_sums.hpp"
#include "vector/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr std::int64_t kElementsPerBlock = 16384;  // 64 KiB of each vector

template <int Count>
__global__ void dot_products_kernel(DotProducts p) {
  const Span span = block_span(p.n);
  double share[Count];
  thread_products(share, span.first, span.last - span.first, p.x, p.y);
  auto& shared = block_shared<SumShared>();
  CURVSEG_UNROLL
  for (int j = 0; j < Count; ++j)
    store_partial(share[j], shared.scratch, p.workspace + j * static_cast<std::int64_t>(gridDim.x));
}

struct FinishDotProducts {
  const float* partial;  // [count][partials]
  std::int64_t partials;
  float* result;
};

/// Block j adds the partial sums of product j.
__global__ void finish_dot_products_kernel(FinishDotProducts p) {
  const float* partial = p.partial + blockIdx.x * p.partials;
  const double share =
      thread_sum<double>(p.partials, [=](std::int64_t i) { return double(partial[i]); });
  const double sum = block_sum(share, block_shared<SumShared>().scratch);
  if (threadIdx.x == 0) p.result[blockIdx.x] = static_cast<float>(sum);
}

template <int Count>
void launch_dot_products(StreamHandle stream, dim3 grid, const DotProducts& p) {
  if constexpr (Count > 0) {
    if (p.count < Count) return launch_dot_products<Count - 1>(stream, grid, p);
    launch<dot_products_kernel<Count>, SumShared>(stream, grid, kSumThreads, p);
  }
}

}  // namespace

std::int64_t dot_products_workspace(const DotProducts& p) {
  return p.count * sum_blocks(p.n, kElementsPerBlock);
}

void dot_products(StreamHandle stream, const DotProducts& p) {
  if (p.count == 0) return;
  const std::int64_t blocks = sum_blocks(p.n, kElementsPerBlock);
  if (blocks > 0)
    launch_dot_products<DotProducts::kMost>(stream, dim3{static_cast<unsigned>(blocks), 1, 1}, p);
  launch<finish_dot_products_kernel, SumShared>(stream, dim3{static_cast<unsigned>(p.count), 1, 1},
                                                kSumThreads,
                                                FinishDotProducts{p.workspace, blocks, p.result});
}

}  // namespace curvseg::CURVSEG_TARGET
