// Vector algebra over flat memory. Plain C++.
//
// Scalars that a kernel computes or uses lie in device memory, so a chain of them needs no host.
#pragma once

#include <cstdint>

namespace curvseg {

/// result[j] = Σ_i x_j[i]·y_j[i] for j < count. One vector may stand in several products: what is
/// the same memory is read from it once. Fixed order; products and sums in double, each result
/// within 2^-23 · Σ_i |x_j[i]·y_j[i]| whatever n. Overwrites.
struct DotProducts {
  static constexpr int kMost = 6;
  int count = 0;  // 0: nothing is done
  std::int64_t n = 0;
  const float* x[kMost] = {};
  const float* y[kMost] = {};
  float* result = nullptr;  // [count]
  float* workspace = nullptr;
};

/// to[i] = Σ_{j < terms} f_j · x_j[i] with f_j = scale_j · *coefficient_j / *divisor_j, nullptr
/// standing for 1, added in the order of j; where a divisor is 0, f_j is. Overwrites `to`, which
/// may be one of the x_j. A vector with a factor of 0 is not read, as in BLAS.
struct LinearCombination {
  static constexpr int kMost = 4;
  struct Term {
    const float* x = nullptr;
    float scale = 1.0f;
    const float* coefficient = nullptr;  // device, may be nullptr, as the next
    const float* divisor = nullptr;
  };
  int terms = 0;  // 1 to kMost
  std::int64_t n = 0;
  Term term[kMost];
  float* to = nullptr;
};

/// to[i] = scale · x[i]·y[i] (+ to[i] if `accumulate`). `to` may be x or y.
struct ElementwiseProduct {
  std::int64_t n = 0;
  const float* x = nullptr;
  const float* y = nullptr;
  float scale = 1.0f;
  bool accumulate = false;
  float* to = nullptr;
};

/// to[i] = x[i] / √s and norm[0] = √s, s = squared_norm[0]; where s ≤ floor · reference[0] (0
/// without a reference) nothing but rounding is left of x, and both are 0. Overwrites; `to` may be
/// x. `norm` must not be `squared_norm` or `reference`. n > 0.
struct Normalise {
  std::int64_t n = 0;
  const float* x = nullptr;
  const float* squared_norm = nullptr;  // device
  const float* reference = nullptr;     // device, may be nullptr
  float floor = 0.0f;
  float* to = nullptr;
  float* norm = nullptr;  // device, may be nullptr
};

/// to[i] += (lambda[0]·d[i] + l2)·v[i]: the damping of a curvature product and the curvature of an
/// L2 term. Without `lambda` 0 stands for it, without `d` 1. `to` may be v.
struct AddDamping {
  std::int64_t n = 0;
  const float* v = nullptr;
  const float* lambda = nullptr;  // device, may be nullptr
  const float* d = nullptr;       // [n] or nullptr
  float l2 = 0.0f;
  float* to = nullptr;
};

}  // namespace curvseg
