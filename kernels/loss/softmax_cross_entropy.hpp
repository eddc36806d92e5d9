// Softmax cross-entropy per pixel, loss and gradient in one kernel, D = denominator[0]:
//
//   p = softmax(x),  q_c = (1−ε)·w_y·[c = y] + (ε/C)·w_c,  s = Σ_c q_c
//   loss[0] = Σ_pixels −Σ_c q_c·log p_c / D  (+ old if `accumulate`),    dx_c = (s·p_c − q_c) / D
//
// Overwrites dx, which may be nullptr. Pixels without a valid label get dx = 0, whatever their
// logits. log p_c = (x_c − max x) − log Σ exp(x − max x). Source: torch.nn.CrossEntropyLoss.
//
// Logits that are not finite do as in PyTorch: NaN or +inf makes the loss NaN; −inf is a class of
// probability 0, and makes the loss +inf where q asks for that class.
//
// Two kernels. Up to kNarrow.classes a block stages a tile of pixels, so that logits are read from
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

struct NarrowShared {
  NarrowRows value;  // [class][pixel]: logits, then exponentials, then gradients
  BlockSumScratch<double> scratch;
};

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

/// Σ over this thread's pixels of −Σ_c q_c·log p_c.
__device__ __forceinline__ double own_loss(const Smoothing& smoothing, const OwnPixels& own) {
  float loss[kOwnPixels];  // first floats that vectorise, then one chain of double additions
  for (int i = 0; i < kOwnPixels; ++i) {
    const float log_sum = log_float(own.sum[i]);
    loss[i] = smoothing.on * own.weight[i] * (log_sum - own.chosen[i]) +
              smoothing.even * (smoothing.weights * log_sum - own.even[i]);
  }
  double sum = 0.0;
  for (int i = 0; i < kOwnPixels; ++i) sum += own.label[i] >= 0 ? loss[i] : 0.0f;
  return sum;
}

__device__ __forceinline__ void own_gradient(const SoftmaxCrossEntropy& p,
                                             const Smoothing& smoothing, float denominator,
                                             NarrowRows& value, OwnPixels& own) {
  const bool counted = denominator != 0.0f;
  for (int i = 0; i < kOwnPixels; ++i) {
    const float s = smoothing.on * own.weight[i] + smoothing.even * smoothing.weights;
    own.sum[i] = s / own.sum[i] / denominator;
    own.label[i] = counted ? own.label[i] : -1;
  }
  for (int c = 0; c < p.classes; ++c) {
    const float even = smoothing.even * class_weight(p.class_weights, c) / denominator;
    for (int i = 0; i < kOwnPixels; ++i) {
      const float gradient = value[c][own_pixel(i)] * own.sum[i] - even;
      value[c][own_pixel(i)] = own.label[i] >= 0 ? gradient : 0.0f;
    }
  }
  for (int i = 0; i < kOwnPixels; ++i)
    if (own.label[i] >= 0)
      value[own.label[i]][own_pixel(i)] -= smoothing.on * own.weight[i] / denominator;
}

static __global__ void __launch_bounds__(kNarrow.threads)
    narrow_cross_entropy_kernel(SoftmaxCrossEntropy p) {
  auto& shared = block_shared<NarrowShared>();
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  for (int c = 0; c < p.classes && smoothing.even != 0.0f; ++c)
    smoothing.weights += class_weight(p.class_weights, c);

  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  double loss = 0.0;
  for (std::int64_t tile = tiles.first; tile < tiles.last; ++tile) {
    const std::int64_t first = tile * kNarrow.pixels;
    const int pixels =
        static_cast<int>(p.pixels - first < kNarrow.pixels ? p.pixels - first : kNarrow.pixels);
    // The whole tile, zeros behind the last pixel: the loops over own pixels have no tail.
    for_each_element(kNarrow.pixels, p.classes, [&](int pixel, int c) {
      shared.value[c][pixel] = pixel < pixels ? p.x[(first + pixel) * p.ldx + c] : 0.0f;
    });
    __syncthreads();
    OwnPixels own;
    find_peaks(p, shared.value, own);
    read_labels(p, first, pixels, shared.value, own);
    sum_exponentials(p, smoothing, shared.value, own);
    loss += own_loss(smoothing, own);
    if (p.dx != nullptr) {
      own_gradient(p, smoothing, denominator, shared.value, own);
      __syncthreads();
      for_each_element(pixels, p.classes, [&](int pixel, int c) {
        p.dx[(first + pixel) * p.ld_dx + c] = shared.value[c][pixel];
      });
    }
    __syncthreads();  // before the next tile overwrites this one
  }
  store_partial(loss, shared.scratch, p.workspace);
}

// ---- many classes ------------------------------------------------------------------------------

inline constexpr int kWideThreads = kWarpSize;  // barriers of a single warp cost next to nothing

struct WideShared {
  BlockSumScratch<float> scratch;
  BlockSumScratch<double> loss;
};

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

/// Writes one pixel's gradient, returns its loss; the same in every thread.
__device__ __forceinline__ float wide_pixel(const SoftmaxCrossEntropy& p,
                                            const Smoothing& smoothing, float denominator,
                                            std::int64_t pixel, int label, WideShared& shared) {
  const float* x = p.x + pixel * p.ldx;
  const ClassWeights weights(p.class_weights, x);
  const float weight = weights[label];
  const float peak = warp_max(x, p.classes);
  const auto exponential = [&](std::int64_t c) { return exp_float(x[c] - peak); };
  const float sum = block_sum(thread_sum<float>(p.classes, exponential), shared.scratch);
  float even = 0.0f;
  if (smoothing.even != 0.0f) {
    const auto weighted = [&](std::int64_t c) { return weights[c] * (x[c] - peak); };
    even = block_sum(thread_sum<float>(p.classes, weighted), shared.scratch);
  }
  if (p.dx != nullptr) {
    float* dx = p.dx + pixel * p.ld_dx;
    const float s = smoothing.on * weight + smoothing.even * smoothing.weights;
    const float scale = s / sum / denominator;
    const float chosen = smoothing.on * weight / denominator;
    for (int c = block_begin(); c < p.classes; c += block_step()) {
      const float q = smoothing.even * weights[c] / denominator;
      const float gradient = exp_float(x[c] - peak) * scale - q;
      dx[c] = c == label ? gradient - chosen : gradient;
    }
  }
  const float log_sum = log_float(sum);
  return smoothing.on * weight * (log_sum - (x[label] - peak)) +
         smoothing.even * (smoothing.weights * log_sum - even);
}

static __global__ void __launch_bounds__(kWideThreads)
    wide_cross_entropy_kernel(SoftmaxCrossEntropy p) {
  auto& shared = block_shared<WideShared>();
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  if (smoothing.even != 0.0f) {
    const ClassWeights weights(p.class_weights, p.x);
    const auto weight = [&](std::int64_t c) { return weights[c]; };
    smoothing.weights = block_sum(thread_sum<float>(p.classes, weight), shared.scratch);
  }

  const Span span = block_span(p.pixels);
  double loss = 0.0;
  for (std::int64_t pixel = span.first; pixel < span.last; ++pixel) {
    const std::int32_t label = p.labels[pixel];
    // The same branch for the whole block, so no thread misses a barrier.
    if (label >= 0 && label < p.classes && denominator != 0.0f)
      loss += wide_pixel(p, smoothing, denominator, pixel, label, shared);
    else if (p.dx != nullptr)
      for (int c = block_begin(); c < p.classes; c += block_step())
        p.dx[pixel * p.ld_dx + c] = 0.0f;
  }
  store_partial(threadIdx.x == 0 ? loss : 0.0, shared.loss, p.workspace);
}

}  // namespace curvseg::CURVSEG_TARGET
