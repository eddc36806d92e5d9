// The scalars of a step on their way to the device.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"
#include "host/optim/fence.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

/// One UpdateScalars in device memory, overwritten in stream order before each step. A copy reads
/// host memory later than it was asked for, so each upload has its own place on the host, and a
/// place is reused only when its last copy is done: after kPlaces further steps, when that is no
/// wait any more.
class ScalarRing {
 public:
  explicit ScalarRing(const Device& device);

  void upload(const Stream& stream, const UpdateScalars& scalars);
  const UpdateScalars* device() const {
    return reinterpret_cast<const UpdateScalars*>(memory_.data());
  }

 private:
  static constexpr std::size_t kPlaces = 4;
  static constexpr std::size_t kFloats = sizeof(UpdateScalars) / sizeof(float);
  static_assert(sizeof(UpdateScalars) == kFloats * sizeof(float), "it is copied as floats");

  DeviceArray<float> memory_;
  std::array<std::array<float, kFloats>, kPlaces> host_{};
  std::vector<Fence> fences_;  // one per place
  std::size_t next_ = 0;
};

}  // namespace curvseg
