// Copies to and from device memory that is known by its address only.
#pragma once

#include <cstddef>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// Asynchronous, in stream order, between any two of host and device memory; both must stay until
/// the stream has been synchronised.
void copy_bytes(const Stream& stream, void* to, const void* from, std::size_t bytes);

/// All elements. Waits.
std::vector<float> read_vector(const Stream& stream, ConstVectorView from);

}  // namespace curvseg
