// Kernels on flat vectors that only solvers call.
#pragma once

#include <cstdint>
#include <string>

#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"
#include "host/ops/check.hpp"

namespace curvseg {

/// Refuses a mask or preconditioner that is there and has another size.
inline void check_optional_vector(std::string_view operation, const char* name,
                                  const ConstVectorView& v, std::int64_t size) {
  if (!v.data && v.size == 0) return;
  if (v.size != size)
    refuse(operation, std::string(name) + " has " + std::to_string(v.size) +
                          " elements, vectors have " + std::to_string(size));
  if (!v.data) refuse(operation, std::string(name) + " has no memory");
}

/// to = random signs, number `index` of this seed; 0 where a mask is 0.
inline void random_signs(const Stream& stream, std::uint64_t seed, std::uint64_t index,
                         ConstVectorView mask, VectorView to) {
  RandomFill p;
  p.to = to.data;
  p.n = to.size;
  p.distribution = Distribution::kRademacher;
  p.seed = seed;
  p.stream = index;
  p.mask = mask.data;
  const CurrentDevice current(stream.device());
  kernels_of(stream).random_fill(stream.native(), p);
}

/// v ← v / √squared_norm and norm = √squared_norm; both 0 where squared_norm ≤ floor · reference.
/// All scalars are in device memory; `norm` may be nullptr.
inline void normalise(const Stream& stream, VectorView v, const float* squared_norm,
                      const float* reference, float floor, float* norm) {
  const CurrentDevice current(stream.device());
  kernels_of(stream).normalise(stream.native(), {.n = v.size,
                                                 .x = v.data,
                                                 .squared_norm = squared_norm,
                                                 .reference = reference,
                                                 .floor = floor,
                                                 .to = v.data,
                                                 .norm = norm});
}

/// to = Σ_j scale_j · x_j of any number of terms, a few a launch. \pre at least one term.
template <class TermOf>
void combine(const Stream& stream, int terms, const TermOf& term_of, VectorView to) {
  VectorTerm some[LinearCombination::kMost];
  int count = 0;
  for (int j = 0; j < terms; ++j) {
    some[count++] = term_of(j);
    if (count < LinearCombination::kMost && j + 1 < terms) continue;
    linear_combination(stream, std::span<const VectorTerm>(some, std::size_t(count)), to);
    some[0] = {to};
    count = 1;
  }
}

}  // namespace curvseg
