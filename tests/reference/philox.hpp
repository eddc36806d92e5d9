// Philox4x32-10 and the normal quantile, written from their definitions. Knows nothing of the
// kernels.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace curvseg::reference {

using Words = std::array<std::uint32_t, 4>;

/// Salmon et al., SC 2011, section 3.3: a round multiplies two words, swaps halves and adds keys.
inline Words philox(Words c, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ull * c[0];
    const std::uint64_t b = 0xCD9E8D57ull * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return c;
}

/// Word `i` of a stream.
inline std::uint32_t random_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t i) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  return philox({low(i / 4), high(i / 4), low(stream), high(stream)},
                {low(seed), high(seed)})[i % 4];
}

/// The x ≥ 0 whose upper tail ½·erfc(x/√2) is `tail`, by bisection; tail in (0, ½].
inline double normal_quantile(double tail) {
  double low = 0.0, high = 40.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(middle / std::sqrt(2.0)) > tail ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace curvseg::reference
