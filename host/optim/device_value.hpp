// The scalars of a step, in device memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"
#include "kernels/pointwise/pointwise.hpp"

namespace curvseg {

/// Enqueues it.
void store_words(const Stream& stream, const StoreWords& store);

/// One T in device memory, overwritten in stream order before each step. It travels among the
/// arguments of a kernel: a copy from host memory would have to wait until it may change again.
template <class T>
class DeviceValue {
 public:
  explicit DeviceValue(const Device& device) : memory_(device, kWords) {}

  void set(const Stream& stream, const T& value) {
    StoreWords store{.to = memory_.data(), .words = kWords};
    std::memcpy(store.value, &value, sizeof(value));
    store_words(stream, store);
  }
  const T* device() const { return reinterpret_cast<const T*>(memory_.data()); }

 private:
  static constexpr std::size_t kWordBytes = sizeof(float);
  static constexpr int kWords = sizeof(T) / kWordBytes;
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) == kWords * kWordBytes &&
                    kWords <= StoreWords::kMost,
                "it is stored as a few words");

  DeviceArray<float> memory_;
};

}  // namespace curvseg
