#include "perf/support/fma_loops.hpp"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace curvseg::perf {
namespace {

// Two multiply-adds a cycle of four or five cycles' latency want ten sums at least that do not wait
// for each other; with the two factors they have to fit the registers.
template <class Vector, int kSums, class Fma>
[[gnu::always_inline]] inline Vector multiply_add(Vector first, Vector a, Vector b, long rounds,
                                                  Fma fma) {
  Vector sum[kSums];
#pragma GCC unroll 32
  for (int i = 0; i < kSums; ++i) sum[i] = first * static_cast<float>(i);
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < kSums; ++i) sum[i] = fma(a, sum[i], b);
  }
  Vector total = sum[0];
#pragma GCC unroll 32
  for (int i = 1; i < kSums; ++i) total += sum[i];
  return total;
}

constexpr float kFactor = 0.5f, kSummand = 1.0f;  // sums approach 2: no overflow, no denormals

#if defined(__x86_64__)

constexpr int kNarrowSums = 12;
constexpr int kWideSums = 24;

[[gnu::target("avx512f"), gnu::noinline]] float fma_loop_avx512(long rounds) {
  const __m512 total = multiply_add<__m512, kWideSums>(
      _mm512_set1_ps(1.0f), _mm512_set1_ps(kFactor), _mm512_set1_ps(kSummand), rounds,
      [](__m512 a, __m512 b, __m512 c) __attribute__((always_inline, target("avx512f"))) {
        return _mm512_fmadd_ps(a, b, c);
      });
  return _mm512_reduce_add_ps(total);
}

[[gnu::target("avx2,fma"), gnu::noinline]] float fma_loop_avx2(long rounds) {
  const __m256 total = multiply_add<__m256, kNarrowSums>(
      _mm256_set1_ps(1.0f), _mm256_set1_ps(kFactor), _mm256_set1_ps(kSummand), rounds,
      [](__m256 a, __m256 b, __m256 c) __attribute__((always_inline, target("avx2,fma"))) {
        return _mm256_fmadd_ps(a, b, c);
      });
  return total[0] + total[7];
}

bool at_most(const char* set) {
  const char* asked = std::getenv("CURVSEG_INSTRUCTION_SET");
  return asked && std::strcmp(asked, set) == 0;
}

#endif

typedef float Four __attribute__((vector_size(16)));

// A product and a sum: processors of the first generation have nothing that does both.
[[gnu::noinline]] float fma_loop_portable(long rounds) {
  constexpr Four kOnes{1.0f, 1.0f, 1.0f, 1.0f};
  const Four total = multiply_add<Four, 12>(kOnes, kOnes * kFactor, kOnes * kSummand, rounds,
                                            [](Four a, Four b, Four c) { return a * b + c; });
  return total[0] + total[3];
}

}  // namespace

FmaKind fma_kind() {
#if defined(__x86_64__)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (__builtin_cpu_supports("avx512f") && !at_most("x86-64-v3") && !at_most("x86-64"))
    return {"AVX-512", fma_loop_avx512, 2 * 16 * kWideSums};
  if (v3 && !at_most("x86-64")) return {"AVX2", fma_loop_avx2, 2 * 8 * kNarrowSums};
#endif
  return {"portable", fma_loop_portable, 2 * 4 * 12};
}

}  // namespace curvseg::perf
