// Random numbers that depend on (seed, stream, i) alone:
//
//   to[4j + l] = mean + scale · u(word l of Philox(counter = (j, stream), key = seed))
//
// with u uniform in [−1, 1), standard normal, or −1 or 1 (distributions.hpp); 0 where there is a
// mask that is 0. Overwrites. Streams of one seed
// differ in half of the counter, so they cannot overlap. The same bits on every target.
#include "random/distributions.hpp"
#include "random/launchers.hpp"
#include "random/philox.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr int kWords = 4;  // of one call of the generator
// Calls that a thread makes at a time: the host's loop over them vectorises.
constexpr int kCalls = kStagedOperands ? 1 : 16;

template <Distribution Kind>
__device__ __forceinline__ float from_bits(std::uint32_t bits) {
  if constexpr (Kind == Distribution::kUniform) return uniform_from_bits(bits);
  if constexpr (Kind == Distribution::kNormal) return normal_from_bits(bits);
  return bits >> 31 != 0 ? -1.0f : 1.0f;
}

template <Distribution Kind>
__device__ __forceinline__ void random_values(const RandomFill& p, std::int64_t call,
                                              float (&value)[kWords][kCalls]) {
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
  for (int i = 0; i < kCalls; ++i) {
    const auto counter = static_cast<std::uint64_t>(call + i);
    const Words4 words = philox({{low(counter), high(counter), low(p.stream), high(p.stream)}},
                                low(p.seed), high(p.seed));
    for (int l = 0; l < kWords; ++l) value[l][i] = p.mean + p.scale * from_bits<Kind>(words.at[l]);
  }
}

template <Distribution Kind>
__global__ void random_fill_kernel(RandomFill p) {
  constexpr int kElements = kWords * kCalls;
  for (const std::int64_t group : grid_range(divide_up(p.n, kElements))) {
    float value[kWords][kCalls];
    random_values<Kind>(p, group * kCalls, value);
    for (int i = 0; i < kCalls; ++i)
      for (int l = 0; l < kWords; ++l) {
        const std::int64_t element = group * kElements + i * kWords + l;
        if (element >= p.n) continue;
        p.to[element] = p.mask && p.mask[element] == 0.0f ? 0.0f : value[l][i];
      }
  }
}

}  // namespace

void random_fill(StreamHandle stream, const RandomFill& p) {
  if (p.n == 0) return;
  const dim3 grid = grid_for(divide_up(p.n, kWords * kCalls));
  switch (p.distribution) {
    case Distribution::kUniform:
      return launch<random_fill_kernel<Distribution::kUniform>>(stream, grid, kGridThreads, p);
    case Distribution::kNormal:
      return launch<random_fill_kernel<Distribution::kNormal>>(stream, grid, kGridThreads, p);
    case Distribution::kRademacher:
      return launch<random_fill_kernel<Distribution::kRademacher>>(stream, grid, kGridThreads, p);
  }
}

}  // namespace curvseg::CURVSEG_TARGET
