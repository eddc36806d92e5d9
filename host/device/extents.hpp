// How large memory and views may be, checked alike wherever somebody hands one in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "curvseg/tensor.hpp"

namespace curvseg {

/// Kernels count elements and bytes from a base in 64 bits with a sign.
constexpr std::int64_t most_elements(std::size_t element_bytes) {
  return std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(element_bytes);
}

/// Refuses negative extents, a pixel stride below C, and more than can be counted, of float32.
/// \throws std::invalid_argument naming the operation and what of it the shape is.
void check_shape(std::string_view operation, std::string_view name, const Shape& shape,
                 std::int64_t ld);
/// The same of pixels without gaps.
inline void check_shape(std::string_view operation, std::string_view name, const Shape& shape) {
  check_shape(operation, name, shape, shape.c);
}

}  // namespace curvseg
