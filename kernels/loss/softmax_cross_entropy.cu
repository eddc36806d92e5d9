// Launchers of softmax_cross_entropy.hpp, and the denominator of its mean:
//
//   total[0] = Σ_p w_{y_p}  over pixels with y_p in [0, classes)   (+ old if `accumulate`)
//
// Sums in double, fixed order.
#include "loss/softmax_cross_entropy.hpp"

#include "loss/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr std::int64_t kLabelsPerBlock = 16384;

__global__ void label_weight_kernel(LabelWeight p) {
  const Span span = block_span(p.pixels);
  const std::int32_t* labels = p.labels + span.first;
  const double share = thread_sum<double>(span.last - span.first, [&](std::int64_t i) {
    const std::int32_t y = labels[i];
    return y >= 0 && y < p.classes ? static_cast<double>(class_weight(p.class_weights, y)) : 0.0;
  });
  store_partial(share, block_shared<SumShared>().scratch, p.workspace);
}

}  // namespace

std::int64_t label_weight_workspace(const LabelWeight& p) {
  return sum_blocks(p.pixels, kLabelsPerBlock);
}

void label_weight(StreamHandle stream, const LabelWeight& p) {
  const std::int64_t blocks = label_weight_workspace(p);
  if (blocks > 0)
    launch<label_weight_kernel, SumShared>(stream, dim3{static_cast<unsigned>(blocks), 1, 1},
                                           kSumThreads, p);
  finish_sum(stream, FinishSum{p.workspace, blocks, nullptr, p.total, p.accumulate});
}

std::int64_t softmax_cross_entropy_workspace(const SoftmaxCrossEntropy& p) {
  return cross_entropy_blocks(p);
}

void softmax_cross_entropy(StreamHandle stream, const SoftmaxCrossEntropy& p) {
  const std::int64_t blocks = cross_entropy_blocks(p);
  const dim3 grid{static_cast<unsigned>(blocks), 1, 1};
  if (blocks > 0 && p.classes <= kNarrow.classes)
    launch<narrow_cross_entropy_kernel, NarrowShared>(stream, grid, kNarrow.threads, p);
  else if (blocks > 0)
    launch<wide_cross_entropy_kernel, WideShared>(stream, grid, kWideThreads, p);
  finish_sum(stream, FinishSum{p.workspace, blocks, p.denominator, p.loss, p.accumulate});
}

}  // namespace curvseg::CURVSEG_TARGET
