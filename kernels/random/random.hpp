// Counter-based random numbers: element i depends on (seed, stream, i) alone, and has the same bits
// on every target. Plain C++.
#pragma once

#include <cstdint>

namespace curvseg {

enum class Distribution { kUniform, kNormal, kRademacher };

/// to[i] = mean + scale · u_i, with u_i uniform in [−1, 1), standard normal, or −1 or 1 with equal
/// probability (Rademacher); 0 where there is a mask that is 0. Philox4x32-10 (Salmon et al., SC
/// 2011), normals by the inverse distribution function; every operation is exactly rounded or
/// integer, so all targets agree in every bit. Overwrites.
struct RandomFill {
  float* to = nullptr;
  std::int64_t n = 0;
  Distribution distribution = Distribution::kUniform;
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // one per tensor: streams of one seed never overlap
  float mean = 0.0f;
  float scale = 1.0f;
  const float* mask = nullptr;  // [n] or nullptr
};

}  // namespace curvseg
