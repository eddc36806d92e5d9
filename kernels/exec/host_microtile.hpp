// The accumulators of a microtile: in SIMD registers during a multiply, between multiplies in
// memory, rows of whole vectors.
#pragma once

#include "exec/host_vector.hpp"

namespace curvseg::CURVSEG_TARGET {

template <int Count, int Vectors>
__forceinline__ void load_microtile(Vector (&acc)[Count][Vectors], const float* storage) {
  CURVSEG_UNROLL
  for (int i = 0; i < Count; ++i) CURVSEG_UNROLL
  for (int v = 0; v < Vectors; ++v)
    acc[i][v] = load_vector(storage + i * Vectors * kLanes + v * kLanes);
}

/// acc = 0 where a sum begins, else from memory.
template <int Count, int Vectors>
__forceinline__ void begin_microtile(Vector (&acc)[Count][Vectors], const float* storage,
                                     bool begins) {
  if (!begins) return load_microtile(acc, storage);
  CURVSEG_UNROLL
  for (int i = 0; i < Count; ++i) CURVSEG_UNROLL
  for (int v = 0; v < Vectors; ++v) acc[i][v] = Vector{};
}

template <int Count, int Vectors>
__forceinline__ void store_microtile(float* storage, const Vector (&acc)[Count][Vectors]) {
  CURVSEG_UNROLL
  for (int i = 0; i < Count; ++i) CURVSEG_UNROLL
  for (int v = 0; v < Vectors; ++v)
    store_vector(storage + i * Vectors * kLanes + v * kLanes, acc[i][v]);
}

/// acc[i][:] += operand(i) · b[:]
template <int Count, int Vectors, class Operand>
__forceinline__ void microtile_step(Vector (&acc)[Count][Vectors], const float* b,
                                    Operand operand) {
  Vector row[Vectors];
  CURVSEG_UNROLL
  for (int v = 0; v < Vectors; ++v) row[v] = load_vector(b + v * kLanes);
  CURVSEG_UNROLL
  for (int i = 0; i < Count; ++i) {
    const Vector value = broadcast(operand(i));
    CURVSEG_UNROLL
    for (int v = 0; v < Vectors; ++v) acc[i][v] = fma(value, row[v], acc[i][v]);
  }
}

}  // namespace curvseg::CURVSEG_TARGET
