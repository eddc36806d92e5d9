// Launcher of softmax_cross_entropy_fisher.hpp.
#include "loss/softmax_cross_entropy_fisher.hpp"

#include "loss/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {

void softmax_cross_entropy_fisher(StreamHandle stream, const SoftmaxCrossEntropyFisher& f) {
  if (f.at.pixels == 0 || f.at.classes <= 0) return;
  const dim3 grid{static_cast<unsigned>(cross_entropy_blocks(f.at)), 1, 1};
  if (f.at.classes <= kNarrow.classes)
    launch<narrow_cross_entropy_fisher_kernel, NarrowFisherShared>(stream, grid, kNarrow.threads,
                                                                   f);
  else
    launch<wide_cross_entropy_fisher_kernel, WideFisherShared>(stream, grid, kWideThreads, f);
}

}  // namespace curvseg::CURVSEG_TARGET
