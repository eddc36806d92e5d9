// Random numbers that depend on (seed, stream, i) alone:
//
//   to[4j + l] = mean + scale · u(word l of Philox(counter = (j, stream), key = seed))
//
// with u uniform in [−1, 1) or standard normal (distributions.hpp). Overwrites. Streams of one seed
// differ in half of the counter, so they cannot overlap. The same bits on every target.
#include "random/distributions.hpp"
#include "random/launchers.hpp"
#include "random/philox.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr int kWords = 4;  // of one call of the generator

template <Distribution Kind>
__global__ void random_fill_kernel(RandomFill p) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto high = [](std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); };
  for (const std::int64_t j : grid_range(divide_up(p.n, kWords))) {
    const auto counter = static_cast<std::uint64_t>(j);
    const Words4 words = philox({{low(counter), high(counter), low(p.stream), high(p.stream)}},
                                low(p.seed), high(p.seed));
    CURVSEG_UNROLL
    for (int l = 0; l < kWords; ++l) {
      if (j * kWords + l >= p.n) continue;
      const float u = Kind == Distribution::kUniform ? uniform_from_bits(words.at[l])
                                                     : normal_from_bits(words.at[l]);
      p.to[j * kWords + l] = p.mean + p.scale * u;
    }
  }
}

}  // namespace

void random_fill(StreamHandle stream, const RandomFill& p) {
  if (p.n == 0) return;
  const dim3 grid = grid_for(divide_up(p.n, kWords));
  if (p.distribution == Distribution::kUniform)
    launch<random_fill_kernel<Distribution::kUniform>>(stream, grid, kGridThreads, p);
  else
    launch<random_fill_kernel<Distribution::kNormal>>(stream, grid, kGridThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
