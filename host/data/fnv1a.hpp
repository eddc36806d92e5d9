/// \file
/// A hash for telling things apart; none against forgery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace curvseg {

inline constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325U;

/// FNV-1a (after Fowler, Noll and Vo) of what @p hash has seen, then @p bytes. Begin with
/// kFnvOffset.
constexpr std::uint64_t fnv1a(std::uint64_t hash, std::span<const std::byte> bytes) {
  constexpr std::uint64_t kPrime = 0x100000001b3U;
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * kPrime;
  }
  return hash;
}

}  // namespace curvseg
