// The counter-based generator Philox4x32-10: four random words from a counter of four words and a
// key of two,
//
//   ten rounds of  (c0, c1, c2, c3) ← (hi(M1·c2) ^ c1 ^ k0, lo(M1·c2), hi(M0·c0) ^ c3 ^ k1,
//   lo(M0·c0)) and of         (k0, k1) ← (k0 + W0, k1 + W1)  between them
//
// Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

struct Words4 {
  std::uint32_t at[4];
};

__device__ __forceinline__ Words4 philox_round(const Words4& c, std::uint32_t k0,
                                               std::uint32_t k1) {
  const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * c.at[0];
  const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * c.at[2];
  return {{static_cast<std::uint32_t>(product1 >> 32) ^ c.at[1] ^ k0,
           static_cast<std::uint32_t>(product1),
           static_cast<std::uint32_t>(product0 >> 32) ^ c.at[3] ^ k1,
           static_cast<std::uint32_t>(product0)}};
}

__device__ __forceinline__ Words4 philox(Words4 counter, std::uint32_t k0, std::uint32_t k1) {
  constexpr int kRounds = 10;
  CURVSEG_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    counter = philox_round(counter, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace curvseg::CURVSEG_TARGET
