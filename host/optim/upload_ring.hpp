// The scalars of a step on their way to the device.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"
#include "host/optim/fence.hpp"

namespace curvseg {

/// One T in device memory, overwritten in stream order before each step. A copy reads host memory
/// later than it was asked for, so each upload has its own place on the host, and a place is reused
/// only when its last copy is done: after kPlaces further steps, when that is no wait any more.
template <class T>
class UploadRing {
 public:
  explicit UploadRing(const Device& device) : memory_(device, kFloats) {
    fences_.reserve(kPlaces);
    for (std::size_t i = 0; i < kPlaces; ++i) fences_.emplace_back(device);
  }

  void upload(const Stream& stream, const T& value) {
    fences_[next_].wait();
    std::memcpy(host_[next_].data(), &value, sizeof(value));
    memory_.upload(stream, host_[next_].data(), kFloats);
    fences_[next_].record(stream);
    next_ = (next_ + 1) % kPlaces;
  }
  const T* device() const { return reinterpret_cast<const T*>(memory_.data()); }

 private:
  static constexpr std::size_t kPlaces = 4;
  static constexpr std::size_t kFloatBytes = sizeof(float);
  static constexpr std::size_t kFloats = sizeof(T) / kFloatBytes;
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) == kFloats * kFloatBytes,
                "it is copied as floats");

  DeviceArray<float> memory_;
  std::array<std::array<float, kFloats>, kPlaces> host_{};
  std::vector<Fence> fences_;  // one per place
  std::size_t next_ = 0;
};

}  // namespace curvseg
