// Launcher of softmax_cross_entropy_hessian.hpp.
#include "loss/softmax_cross_entropy_hessian.hpp"

#include "loss/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {

void softmax_cross_entropy_hessian(StreamHandle stream, const SoftmaxCrossEntropyHessian& h) {
  if (h.at.pixels == 0 || h.at.classes <= 0) return;
  const dim3 grid{static_cast<unsigned>(cross_entropy_blocks(h.at)), 1, 1};
  if (h.at.classes <= kNarrow.classes)
    launch<narrow_cross_entropy_hessian_kernel, NarrowHessianShared>(stream, grid, kNarrow.threads,
                                                                     h);
  else
    launch<wide_cross_entropy_hessian_kernel, WideHessianShared>(stream, grid, kWideThreads, h);
}

}  // namespace curvseg::CURVSEG_TARGET
