// Pointwise operations over flat memory or over [pixels, channels] with a pixel stride. Plain C++.
#pragma once

#include <cstdint>

namespace curvseg {

/// to[i] = value, i < n. Overwrites.
struct Fill {
  float* to = nullptr;
  std::int64_t n = 0;
  float value = 0.0f;
};

/// to[i] = value[i], i < words, as bits: numbers of any type that the host knows, without a copy.
/// Overwrites.
struct StoreWords {
  static constexpr int kMost = 4;
  float* to = nullptr;
  int words = 0;
  float value[kMost] = {};
};

/// to[p, c] = scale · from[p, c] (+ to[p, c] if `accumulate`), and 0 with scale 0, where `from` is
/// not read, as in BLAS: slices of a concatenation, residual
/// sums, and sums of gradients that meet.
struct CopyPixels {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* from = nullptr;
  std::int64_t ld_from = 0;
  float* to = nullptr;
  std::int64_t ld_to = 0;
  float scale = 1.0f;
  bool accumulate = false;
};

/// y = max(x, 0); NaN stays NaN. x and y may be the same memory. Overwrites.
struct ReluForward {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
};

/// dx = y > 0 ? dy : 0 (+ dx if `accumulate`), with y the stored output: at 0 the derivative is 0.
/// Also the R-pass of ReLU, with dy = Rx and dx = Ry. dx and dy may be the same memory.
struct ReluBackward {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* y = nullptr;
  std::int64_t ldy = 0;
  const float* dy = nullptr;
  std::int64_t ld_dy = 0;
  float* dx = nullptr;
  std::int64_t ld_dx = 0;
  bool accumulate = false;
};

/// y[p, c] = x[p, c] + b[c]. x and y may be the same memory. Overwrites.
struct AddBias {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const float* b = nullptr;
  float* y = nullptr;
  std::int64_t ldy = 0;
};

/// db[c] = Σ_p dy[p, c] (+ db[c] if `accumulate`): the bias gradient. Fixed order. With
/// `squared_images` = N > 0 the pixels are N images of equally many, and the sum of each is squared
/// before they are added: db[c] = Σ_n (Σ_p dy[n, p, c])². The workspace does not depend on it.
struct ChannelSum {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* dy = nullptr;
  std::int64_t ldy = 0;
  float* db = nullptr;
  bool accumulate = false;
  float* workspace = nullptr;
  int squared_images = 0;
};

}  // namespace curvseg
