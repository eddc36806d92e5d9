// Flat device vectors that start at zero.
#pragma once

#include <cstdint>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// `elements` floats of device memory, zeroed in the order of `stream`.
DeviceArray<float> zeroed_vector(const Stream& stream, std::int64_t elements);

inline VectorView view(const DeviceArray<float>& array) { return {array.data(), array.size()}; }

}  // namespace curvseg
