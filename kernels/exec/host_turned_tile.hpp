// turned_tile.hpp for the host: blocks of 4 pixels by 4 channels, in vectors of 4 on every
// instruction set, since wider ones would only cross their halves more often.
#pragma once

#include <bit>
#include <cstring>

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

typedef float Quad __attribute__((vector_size(4 * sizeof(float))));
typedef double QuadOfPairs __attribute__((vector_size(sizeof(Quad))));

/// `kCount` numbers, of which nothing beyond is read or written. Pairs as a double: a copy of parts
/// of a vector would go through the stack.
template <int kCount>
__forceinline__ Quad load_quad(const float* from) {
  if constexpr (kCount == 4) {
    Quad quad;
    std::memcpy(&quad, from, sizeof quad);
    return quad;
  } else if constexpr (kCount == 1) {
    return Quad{from[0]};
  } else {
    double pair;
    std::memcpy(&pair, from, sizeof pair);
    Quad quad = std::bit_cast<Quad>(QuadOfPairs{pair});
    if constexpr (kCount == 3) quad[2] = from[2];
    return quad;
  }
}
template <int kCount>
__forceinline__ void store_quad(float* to, Quad quad) {
  if constexpr (kCount == 4) {
    std::memcpy(to, &quad, sizeof quad);
  } else if constexpr (kCount == 1) {
    to[0] = quad[0];
  } else {
    const double pair = std::bit_cast<QuadOfPairs>(quad)[0];
    std::memcpy(to, &pair, sizeof pair);
    if constexpr (kCount == 3) to[2] = quad[2];
  }
}

/// Rows become columns.
__forceinline__ void turn(Quad (&row)[4]) {
  const Quad low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
  const Quad high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Quad low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const Quad high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  row[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  row[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  row[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  row[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

/// Calls f(c, constant) for the channels, 4 at a time, `kTail` at the end.
template <int kTail, class F>
__forceinline__ void for_each_quad(int channels, const F& f) {
  int c = 0;
  for (; c + 4 <= channels; c += 4) f(c, std::integral_constant<int, 4>());
  if constexpr (kTail > 0) f(c, std::integral_constant<int, kTail>());
}

/// Calls f(constant) with channels % 4.
template <class F>
__forceinline__ void with_quad_tail(int channels, const F& f) {
  switch (channels % 4) {
    case 0:
      return f(std::integral_constant<int, 0>());
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    default:
      return f(std::integral_constant<int, 3>());
  }
}

template <int kPixels, class Tile>
__forceinline__ void load_turned(Tile& tile, const float* from, std::int64_t ld, int pixels,
                                 int channels) {
  const int whole = pixels - pixels % 4;
  with_quad_tail(channels, [&](auto tail) {
    for (int pixel = 0; pixel < whole; pixel += 4)
      for_each_quad<decltype(tail)::value>(channels, [&](int c, auto count) {
        constexpr int kCount = decltype(count)::value;
        const float* block = from + pixel * ld + c;
        Quad row[4];
        CURVSEG_UNROLL
        for (int i = 0; i < 4; ++i) row[i] = load_quad<kCount>(block + i * ld);
        turn(row);
        CURVSEG_UNROLL
        for (int j = 0; j < kCount; ++j) store_quad<4>(&tile[c + j][pixel], row[j]);
      });
  });
  for (int pixel = whole; pixel < kPixels; ++pixel)
    for (int c = 0; c < channels; ++c)
      tile[c][pixel] = pixel < pixels ? from[pixel * ld + c] : 0.0f;
}

template <class Tile>
__forceinline__ void store_turned(const Tile& tile, float* to, std::int64_t ld, int pixels,
                                  int channels) {
  const int whole = pixels - pixels % 4;
  with_quad_tail(channels, [&](auto tail) {
    for (int pixel = 0; pixel < whole; pixel += 4)
      for_each_quad<decltype(tail)::value>(channels, [&](int c, auto count) {
        constexpr int kCount = decltype(count)::value;
        Quad row[4] = {};
        CURVSEG_UNROLL
        for (int j = 0; j < kCount; ++j) row[j] = load_quad<4>(&tile[c + j][pixel]);
        turn(row);
        CURVSEG_UNROLL
        for (int i = 0; i < 4; ++i) store_quad<kCount>(to + (pixel + i) * ld + c, row[i]);
      });
  });
  for (int pixel = whole; pixel < pixels; ++pixel)
    for (int c = 0; c < channels; ++c) to[pixel * ld + c] = tile[c][pixel];
}

}  // namespace curvseg::CURVSEG_TARGET
