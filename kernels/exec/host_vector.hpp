// SIMD registers of the host: their size, the shapes of tiles that fill them, and what is done with
// one.
#pragma once

#include "exec/prefetch.hpp"

namespace curvseg::CURVSEG_TARGET {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kTileRows = 12;  // 24 accumulators, 2 operands, 6 registers to spare of 32
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
inline constexpr int kTileRows = 6;  // 12 accumulators, 2 operands, 1 broadcast of 16 registers
#else
inline constexpr int kLanes = 4;
inline constexpr int kTileRows = 6;
#endif
inline constexpr int kTileColumns = 2 * kLanes;
// For few columns: one vector wide, so that none of it is wasted. A multiply-add then needs an
// operand from memory each, which two loads a cycle can deliver, just.
inline constexpr bool kSlimTiles = true;
inline constexpr int kSlimTileRows = 12;
inline constexpr int kSlimTileColumns = kLanes;
// Of a sliding window, see BlockTile::multiply_window: an operand from memory is used three times
// over, so the taps take registers of the rows.
#if defined(__AVX512F__)
inline constexpr bool kWideWindows = true;
inline constexpr int kWindowRows = 12;      // 24 accumulators, 6 taps
inline constexpr int kSlimWindowRows = 16;  // 16 and 3
#else
inline constexpr bool kWideWindows = false;  // 16 registers: 8 accumulators and 6 taps are slower
inline constexpr int kWindowRows = 4;
inline constexpr int kSlimWindowRows = 8;  // 8 and 3
#endif
inline constexpr bool kLines = true;  // long microtiles for short sums
// Of the three taps of a weight gradient, for which 16 registers are too few.
inline constexpr bool kOuterWindows = kLanes == 16;
inline constexpr int kOuterWindowRows = 4;      // 24 accumulators
inline constexpr int kSlimOuterWindowRows = 8;  // 24
// Where the rows' operands lie side by side, there may be as many rows as there are registers.
inline constexpr int kSlimOuterRows = kLanes == 16 ? 16 : 12;

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef float UnalignedVector
    __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

__forceinline__ Vector load_vector(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}
__forceinline__ void store_vector(float* to, Vector value) {
  *reinterpret_cast<UnalignedVector*>(to) = value;
}
__forceinline__ Vector broadcast(float value) {
  return value - Vector{};  // minus zero is exact for every value, plus zero is not
}
/// Asks for the line that `from` is in, which may be nobody's memory, into the first-level cache.
__forceinline__ void prefetch_near(const float* from) { __builtin_prefetch(from); }
/// The same for `kCount` floats, into the second-level cache.
template <int kCount>
__forceinline__ void prefetch_further(const float* from) {
  CURVSEG_UNROLL
  for (int i = 0; i < kCount; i += kLineFloats) __builtin_prefetch(from + i, 0, 2);
}
/// Elements [first, last) of a vector, zeros around them; of those nothing is read.
__forceinline__ Vector load_part(const float* from, int first, int last) {
  if (first <= 0 && last >= kLanes) return load_vector(from);
#if defined(__AVX512F__)
  const unsigned below = last >= kLanes ? 0xffffu : last > 0 ? (1u << last) - 1 : 0u;
  const unsigned skipped = first >= kLanes ? 0xffffu : first > 0 ? (1u << first) - 1 : 0u;
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(below & ~skipped), from);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(from,
                            _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                                _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane)));
#else
  Vector result{};
  for (int j = 0; j < kLanes; ++j)
    if (j >= first && j < last) result[j] = from[j];
  return result;
#endif
}
__forceinline__ Vector fma(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace curvseg::CURVSEG_TARGET
