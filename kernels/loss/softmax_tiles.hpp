// What the kernels of softmax cross-entropy, its gradient and its Hessian share: tiles, labels,
// softmax numerators and their sums.
//
// Two shapes. Up to kNarrow.classes a block stages a tile of pixels, so that logits are read from
// memory once, in the order of memory, and every thread owns pixels. Beyond, a warp works on one
// pixel, and its second and third look at the logits come from a cache.
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"
#include "loss/loss.hpp"
#include "math/elementary.hpp"
#include "math/long_sum.hpp"

namespace curvseg::CURVSEG_TARGET {

__device__ __forceinline__ float class_weight(const float* weights, int c) {
  return weights == nullptr ? 1.0f : weights[c];
}

/// The coefficients of q: q_c = on · w_y · [c = y] + even · w_c.
struct Smoothing {
  float on, even;
  float weights;  // Σ_c w_c; 0 where even is 0, since then nobody asks

  __device__ __forceinline__ explicit Smoothing(const SoftmaxCrossEntropy& p)
      : on(1.0f - p.label_smoothing),
        even(p.label_smoothing / static_cast<float>(p.classes)),
        weights(0.0f) {}
};

// ---- few classes -------------------------------------------------------------------------------

struct NarrowTile {
  int threads;
  int pixels;   // of a tile; a GPU thread owns one, the host's vector loops run over them
  int classes;  // at most
  int padding;  // of a row of shared memory: transposing must not meet in one bank
};
inline constexpr NarrowTile kNarrow =
    kStagedOperands ? NarrowTile{128, 128, 32, 1} : NarrowTile{1, 64, 32, 0};

inline constexpr int kOwnPixels = kNarrow.pixels / kNarrow.threads;
static_assert(kOwnPixels * kNarrow.threads == kNarrow.pixels, "threads own whole pixels");

using NarrowRows = float[kNarrow.classes][kNarrow.pixels + kNarrow.padding];

__device__ __forceinline__ int own_pixel(int i) {
  return static_cast<int>(threadIdx.x) + i * kNarrow.threads;
}

/// This thread's share of f(pixel, class) over a tile. On a GPU neighbouring threads take
/// neighbouring classes, as they lie in memory; the host's inner loop is the longer one.
template <class Function>
__device__ __forceinline__ void for_each_element(int pixels, int classes, Function f) {
  if constexpr (kStagedOperands) {
    const int step_pixels = block_step() / classes;
    const int step_classes = block_step() % classes;
    int pixel = block_begin() / classes;
    int c = block_begin() % classes;
    while (pixel < pixels) {
      f(pixel, c);
      pixel += step_pixels;
      c += step_classes;
      const bool wraps = c >= classes;
      pixel += wraps ? 1 : 0;
      c -= wraps ? classes : 0;
    }
  } else {
    for (int c = 0; c < classes; ++c)
      for (int pixel = 0; pixel < pixels; ++pixel) f(pixel, c);
  }
}

/// What a thread keeps of its pixels.
struct OwnPixels {
  int label[kOwnPixels];  // −1: contributes nothing
  float weight[kOwnPixels];
  float peak[kOwnPixels];    // max x
  float sum[kOwnPixels];     // Σ exp(x − peak)
  float chosen[kOwnPixels];  // x_y − peak
  float even[kOwnPixels];    // Σ w_c (x_c − peak)
};

__device__ __forceinline__ void find_peaks(const SoftmaxCrossEntropy& p, const NarrowRows& value,
                                           OwnPixels& own) {
  for (int i = 0; i < kOwnPixels; ++i) own.peak[i] = value[0][own_pixel(i)];
  for (int c = 1; c < p.classes; ++c)
    for (int i = 0; i < kOwnPixels; ++i) {
      const float x = value[c][own_pixel(i)];
      own.peak[i] = x > own.peak[i] ? x : own.peak[i];  // a NaN elsewhere shows in the sum
    }
}

__device__ __forceinline__ void read_labels(const SoftmaxCrossEntropy& p, std::int64_t first,
                                            int pixels, const NarrowRows& value, OwnPixels& own) {
  for (int i = 0; i < kOwnPixels; ++i) {
    const int pixel = own_pixel(i);
    const std::int32_t y = pixel < pixels ? p.labels[first + pixel] : kIgnoreLabel;
    const bool valid = y >= 0 && y < p.classes;
    own.label[i] = valid ? y : -1;
    own.weight[i] = valid ? class_weight(p.class_weights, y) : 0.0f;
    own.chosen[i] = valid ? value[y][pixel] - own.peak[i] : 0.0f;
  }
}

__device__ __forceinline__ void sum_exponentials(const SoftmaxCrossEntropy& p,
                                                 const Smoothing& smoothing, NarrowRows& value,
                                                 OwnPixels& own) {
  for (int i = 0; i < kOwnPixels; ++i) own.even[i] = own.sum[i] = 0.0f;
  for (int c = 0; c < p.classes && smoothing.even != 0.0f; ++c) {
    const float weight = class_weight(p.class_weights, c);
    for (int i = 0; i < kOwnPixels; ++i)
      own.even[i] += weight * (value[c][own_pixel(i)] - own.peak[i]);
  }
  for (int c = 0; c < p.classes; ++c)
    for (int i = 0; i < kOwnPixels; ++i) {
      const float e = exp_float(value[c][own_pixel(i)] - own.peak[i]);
      value[c][own_pixel(i)] = e;
      own.sum[i] += e;
    }
}

// ---- many classes ------------------------------------------------------------------------------

inline constexpr int kWideThreads = kWarpSize;  // barriers of a single warp cost next to nothing

/// The largest of value[0, n), n ≥ 1, in every thread of a block of one warp. A NaN may be passed
/// over. A template, so that targets without warps never look at the shuffle.
template <class T>
__device__ __forceinline__ T warp_max(const T* value, int n) {
  constexpr int kParallel = kStagedOperands ? 1 : 32;  // independent, so that the host's vectorise
  T lane[kParallel];
  for (int j = 0; j < kParallel; ++j) lane[j] = value[0];
  const int whole = n - n % kParallel;
  for (int c = block_begin() * kParallel; c < whole; c += block_step() * kParallel)
    for (int j = 0; j < kParallel; ++j) lane[j] = value[c + j] > lane[j] ? value[c + j] : lane[j];
  for (int c = whole; c < n; ++c) lane[0] = value[c] > lane[0] ? value[c] : lane[0];
  T largest = lane[0];
  for (int j = 1; j < kParallel; ++j) largest = lane[j] > largest ? lane[j] : largest;
  if constexpr (kStagedOperands) {
    CURVSEG_UNROLL
    for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
      const T other = __shfl_xor_sync(0xffffffffu, largest, offset);
      largest = other > largest ? other : largest;
    }
  }
  return largest;
}

/// class_weight() for a loop over all classes. Without weights it reads x in their place: a load
/// that only happens under a condition would keep the host's loops from being fast vector code.
struct ClassWeights {
  const float* memory;
  bool given;

  __device__ __forceinline__ ClassWeights(const float* weights, const float* x)
      : memory(weights == nullptr ? x : weights), given(weights != nullptr) {}
  __device__ __forceinline__ float operator[](std::int64_t c) const {
    const float value = memory[c];
    return given ? value : 1.0f;
  }
};

/// Blocks of either kernel; they share out tiles or pixels among themselves.
inline std::int64_t cross_entropy_blocks(const SoftmaxCrossEntropy& p) {
  if (p.classes <= 0) return 0;
  // GPU: a tile or a pixel a block while the machine is not full. Host: some 16 Ki logits a block.
  if (p.classes <= kNarrow.classes)
    return sum_blocks(divide_up(p.pixels, kNarrow.pixels), kStagedOperands ? 1 : 16, 2048);
  return sum_blocks(p.pixels, kStagedOperands ? 1 : divide_up(16384, p.classes), 4096);
}

}  // namespace curvseg::CURVSEG_TARGET
