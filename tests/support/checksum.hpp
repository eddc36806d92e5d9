// A number that stands for the bits of a result, to be compared with a stored one.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace curvseg::testing {

/// FNV-1a over 32-bit words.
inline std::uint64_t checksum(const std::vector<float>& values) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const float value : values)
    hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 1099511628211ull;
  return hash;
}

}  // namespace curvseg::testing
