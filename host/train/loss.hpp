// The losses as the trainer uses them: from labels, with the denominator of the batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "curvseg/tensor.hpp"
#include "curvseg/train.hpp"
#include "host/train/batch_slot.hpp"

namespace curvseg {

class Loss {
 public:
  virtual ~Loss() = default;

  /// slot.loss, slot.denominator ← those of this batch; dlogits, unless empty, ← the gradient.
  /// Asynchronous.
  virtual void compute(const Stream& stream, ConstTensorView logits, const std::int32_t* labels,
                       BatchSlot& slot, TensorView dlogits) = 0;
  /// True when compute() reads slot.batch.labels, too.
  virtual bool needs_host_labels() const { return false; }
  virtual std::size_t memory_bytes() const = 0;
};

/// \throws InputError for weights that are not one per class or negative, or label smoothing
///         outside [0, 1].
void check_loss_options(const LossOptions& options, int classes);

/// `options` as checked.
std::unique_ptr<Loss> make_loss(const Stream& stream, const LossOptions& options);

}  // namespace curvseg
