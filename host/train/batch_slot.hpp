// One batch under way: its memory on both sides, and the numbers that come back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "curvseg/data.hpp"
#include "curvseg/device.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"
#include "host/train/device_memory.hpp"
#include "host/train/fence.hpp"

namespace curvseg {

/// A batch in device memory.
struct DeviceBatch {
  ConstTensorView x;
  const std::int32_t* labels = nullptr;
};

/// Two of these take turns: while the device works on one batch, the host fills the other slot, and
/// reads the numbers of a batch once the next one is enqueued, so that it never waits for the batch
/// it has just handed over.
///
/// Copies from and to ordinary host memory wait for the stream that they are on. They go to a
/// stream of the slot's own, where nothing but the slot's last batch is before them.
class BatchSlot {
 public:
  explicit BatchSlot(const Device& device) : numbers_(device, kNumbers), fence_(device) {}

  Batch batch;  ///< must stay as it is until wait()

  // Device memory of one number.
  float* loss() const { return numbers_.data(); }
  float* denominator() const { return numbers_.data() + 1; }
  float* squared_norm() const { return numbers_.data() + 2; }

  /// Sets them to 0, in the order of `stream`.
  void clear(const Stream& stream) const { fill(stream, {numbers_.data(), kNumbers}, 0.0f); }
  /// Brings loss and denominator here, in the order of `stream`.
  void take(const Stream& stream, const float* loss, const float* denominator) const {
    linear_combination(stream, {{{loss, 1}}}, {numbers_.data(), 1});
    linear_combination(stream, {{{denominator, 1}}}, {numbers_.data() + 1, 1});
  }
  /// Copies `batch` to the device; `stream` goes on when it is there.
  DeviceBatch upload(const Stream& stream) {
    const auto images = static_cast<std::int64_t>(batch.images.size());
    const auto labels = static_cast<std::int64_t>(batch.labels.size());
    ensure_size(fence_.stream(), x_, images);
    ensure_size(fence_.stream(), labels_, labels);
    x_.upload(fence_.stream(), batch.images.data(), images);
    labels_.upload(fence_.stream(), batch.labels.data(), labels);
    stream.wait(fence_.stream());
    return {{x_.data(), {batch.n, batch.h, batch.w, batch.c}}, labels_.data()};
  }
  /// Marks the end of the batch: what `stream` holds now.
  void finish(const Stream& stream) { fence_.record(stream); }
  /// Blocks until finish(), and brings the numbers back.
  void wait() {
    numbers_.download(fence_.stream(), back_.data(), kNumbers);
    fence_.wait();
  }
  /// Blocks until finish().
  void settle() const { fence_.wait(); }

  // After wait().
  double loss_value() const { return static_cast<double>(back_[0]); }
  double denominator_value() const { return static_cast<double>(back_[1]); }
  double squared_norm_value() const { return static_cast<double>(back_[2]); }

  std::size_t memory_bytes() const { return numbers_.bytes() + x_.bytes() + labels_.bytes(); }

 private:
  static constexpr std::size_t kNumbers = 3;

  DeviceArray<float> numbers_, x_;
  DeviceArray<std::int32_t> labels_;
  std::array<float, kNumbers> back_{};
  Fence fence_;
};

}  // namespace curvseg
