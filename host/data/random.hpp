/// @file
/// Random numbers with fixed semantics: the same on every compiler, library and processor.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace curvseg {

/// One round of splitmix64's output function (Steele, Lea, Flood 2014): a bijection on 64 bits that
/// makes neighbouring inputs unrelated.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

/// A key that depends on all of @p parts and their order: (seed, epoch, item) and the like.
constexpr std::uint64_t mix_key(std::initializer_list<std::uint64_t> parts) {
  std::uint64_t key = 0x243F6A8885A308D3U;
  for (const std::uint64_t part : parts) {
    key = mix64(key ^ mix64(part));
  }
  return key;
}

/// Counter-based generator: number i of a key is mix64(key + i * odd constant). Copyable, 16 bytes.
class Random {
 public:
  explicit constexpr Random(std::uint64_t key) : state_(mix64(key)) {}
  constexpr Random(std::initializer_list<std::uint64_t> parts) : Random(mix_key(parts)) {}

  constexpr std::uint64_t next() {
    const std::uint64_t value = mix64(state_);
    state_ += 0x9E3779B97F4A7C15U;
    return value;
  }

  /// Evenly from [0, 1), in steps of 2^-53.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// Evenly from [low, high).
  constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Evenly from 0..n-1, without bias; 0 for n of 0 or 1.
  constexpr std::uint64_t below(std::uint64_t n) {
    if (n <= 1) {
      return 0;
    }
    // The largest multiple of n that fits; numbers above it would favour small results.
    const std::uint64_t limit = UINT64_MAX - (UINT64_MAX % n + 1) % n;
    std::uint64_t value = next();
    while (value > limit) {
      value = next();
    }
    return value % n;
  }

  constexpr bool coin() { return (next() >> 63) != 0; }

  /// Approximately normal with mean 0 and variance 1: the sum of four 16-bit numbers, which needs
  /// no function of the mathematical library and is therefore the same everywhere. Bounded by
  /// 3.46.
  constexpr double normal() {
    const std::uint64_t bits = next();
    const auto sum = static_cast<double>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) +
                                         ((bits >> 32) & 0xFFFF) + (bits >> 48));
    // Four uniforms on 0..65535: mean 131070, variance 4 * (65536^2 - 1) / 12.
    return (sum - 131070.0) / 37837.22;
  }

 private:
  std::uint64_t state_;
};

/// Fisher-Yates.
template <typename T>
constexpr void shuffle(std::vector<T>& items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.below(i)]);
  }
}

}  // namespace curvseg
