// One batch under way: its host memory, which copies still read, and the numbers that come back.
#pragma once

#include <array>
#include <vector>

#include "curvseg/data.hpp"
#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"
#include "host/optim/fence.hpp"

namespace curvseg {

/// Two of these take turns: while the device works on one batch, the host fills the other slot, and
/// reads the numbers of a batch once the next one is enqueued, so that it never waits for the batch
/// it has just handed over.
class BatchSlot {
 public:
  explicit BatchSlot(const Device& device) : numbers_(device, kNumbers), fence_(device) {}

  Batch batch;                ///< must stay as it is until wait()
  std::vector<float> target;  ///< mean squared error: one-hot labels, likewise
  std::vector<float> gate;    ///< mean squared error: 1 at labelled pixels, likewise

  // Device memory.
  float* loss() const { return numbers_.data(); }
  float* denominator() const { return numbers_.data() + 1; }
  float* squared_norm() const { return numbers_.data() + 2; }

  /// Sets the denominator and clears the others, in the order of `stream`.
  void reset(const Stream& stream, float denominator) {
    host_ = {0.0f, denominator, 0.0f};
    numbers_.upload(stream, host_.data(), kNumbers);
  }
  /// Enqueues the way back of the numbers, behind what `stream` holds now and beside what follows.
  void read_back(const Stream& stream) {
    fence_.record(stream);
    numbers_.download(fence_.stream(), back_.data(), kNumbers);
  }
  /// Blocks until read_back() is done, and with it everything enqueued before.
  void wait() const { fence_.wait(); }

  // After wait().
  double loss_value() const { return static_cast<double>(back_[0]); }
  double denominator_value() const { return static_cast<double>(back_[1]); }
  double squared_norm_value() const { return static_cast<double>(back_[2]); }

 private:
  static constexpr std::size_t kNumbers = 3;

  DeviceArray<float> numbers_;
  std::array<float, kNumbers> host_{};
  std::array<float, kNumbers> back_{};
  Fence fence_;
};

}  // namespace curvseg
