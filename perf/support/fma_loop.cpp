// Compiled once an instruction set; CURVSEG_FMA_LOOP is the function's name. At -O2 and more a
// round is multiply-adds and a counter, nothing else: tests/perf/fma_registers.sh looks.
#include "perf/support/fma_loop.hpp"

// Tells the compiler that the value is used and changed here, in a register, so that it neither
// spills nor shortens the loop.
#if defined(__AVX512F__)
#define IN_A_REGISTER(value) asm volatile("" : "+v"(value))
#elif defined(__x86_64__)
#define IN_A_REGISTER(value) asm volatile("" : "+x"(value))
#else
#define IN_A_REGISTER(value) static_cast<void>(value)
#endif

namespace curvseg::perf {
namespace {

// Two multiply-adds a cycle of four or five cycles' latency want ten sums at least that do not wait
// for each other; with the two factors they have to fit the registers.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kSums = 24;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kSums = 12;
#else
constexpr int kLanes = 4, kSums = 12;  // a product and a sum: there is nothing that does both
#endif
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

}  // namespace

float CURVSEG_FMA_LOOP(long rounds) {
  const Vector ones = Vector{} + 1.0f;
  const Vector factor = ones * 0.5f;  // sums approach 2: no overflow, no denormals
  Vector sum[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sum[i] = ones * static_cast<float>(i);
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) {
      sum[i] = factor * sum[i] + ones;
      IN_A_REGISTER(sum[i]);
    }
  }
  Vector total = sum[0];
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) total += sum[i];
  float result = 0.0f;
  for (int lane = 0; lane < kLanes; ++lane) result += total[lane];
  return result;
}

}  // namespace curvseg::perf
