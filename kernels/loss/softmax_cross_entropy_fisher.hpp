// A Fisher matrix of softmax cross-entropy with respect to the logits, times u, D = denominator[0]:
//
//   r = softmax(x) − t,   t = [c = sampled] or q / s,   q_c = (1−ε)·w_y·[c = y] + (ε/C)·w_c,  s =
//   Σ_c q_c fu = s·r·(rᵀu) / D,   or without u its root  √s·r / D
//
// Overwrites fu, which may be u. Pixels without a valid label get 0, whatever their logits. With
// classes sampled from p = softmax(x), E[r rᵀ] = diag p − p pᵀ: the mean over samples is the
// Hessian of softmax_cross_entropy_hessian.hpp. Source: Schraudolph, Neural Computation 14 (2002),
// section 3; Kunstner, Balles and Hennig, "Limitations of the empirical Fisher approximation",
// NeurIPS 2019.
//
// Tiles and the split by number of classes are those of softmax_tiles.hpp.
#pragma once

#include <cmath>

#include "loss/softmax_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// What is left of the root of s·r·rᵀ / D beside r: fu = scale·r, times rᵀu if there is a u.
__device__ __forceinline__ float fisher_scale(float s, float denominator, bool root) {
  return (root ? sqrtf(s) : s) / denominator;
}

// ---- few classes -------------------------------------------------------------------------------

struct NarrowFisherShared {
  NarrowRows value;      // [class][pixel]: logits, then exponentials, then r
  NarrowRows direction;  // [class][pixel]: u, then the result
};

/// value ← softmax − t for this thread's pixels, weight ← s.
__device__ __forceinline__ void own_residuals(const SoftmaxCrossEntropyFisher& f,
                                              const Smoothing& smoothing, std::int64_t first,
                                              NarrowRows& value, OwnPixels& own) {
  const SoftmaxCrossEntropy& p = f.at;
  float even[kOwnPixels];  // of q / s: what every class gets for a weight of 1
  for (int i = 0; i < kOwnPixels; ++i) {
    const float s = smoothing.on * own.weight[i] + smoothing.even * smoothing.weights;
    own.chosen[i] = f.sampled ? 1.0f : smoothing.on * own.weight[i] / s;
    even[i] = f.sampled ? 0.0f : smoothing.even / s;
    own.weight[i] = s;
    own.label[i] = s > 0.0f ? own.label[i] : -1;
  }
  for (int c = 0; c < p.classes; ++c) {
    const float weight = class_weight(p.class_weights, c);
    for (int i = 0; i < kOwnPixels; ++i)
      value[c][own_pixel(i)] = value[c][own_pixel(i)] / own.sum[i] - even[i] * weight;
  }
  for (int i = 0; i < kOwnPixels; ++i) {
    if (own.label[i] < 0) continue;
    const int target = f.sampled ? f.sampled[first + own_pixel(i)] : own.label[i];
    if (target >= 0 && target < p.classes) value[target][own_pixel(i)] -= own.chosen[i];
  }
}

/// direction ← the result for this thread's pixels.
__device__ __forceinline__ void own_fisher(const SoftmaxCrossEntropyFisher& f, float denominator,
                                           const OwnPixels& own, NarrowFisherShared& shared) {
  float scale[kOwnPixels];
  for (int i = 0; i < kOwnPixels; ++i)
    scale[i] = fisher_scale(own.weight[i], denominator, f.u == nullptr);
  if (f.u != nullptr) {
    float product[kOwnPixels];
    for (int i = 0; i < kOwnPixels; ++i) product[i] = 0.0f;
    for (int c = 0; c < f.at.classes; ++c)
      for (int i = 0; i < kOwnPixels; ++i)
        product[i] += shared.value[c][own_pixel(i)] * shared.direction[c][own_pixel(i)];
    for (int i = 0; i < kOwnPixels; ++i) scale[i] *= product[i];
  }
  const bool counted = denominator != 0.0f;
  for (int c = 0; c < f.at.classes; ++c)
    for (int i = 0; i < kOwnPixels; ++i)
      shared.direction[c][own_pixel(i)] =
          counted && own.label[i] >= 0 ? scale[i] * shared.value[c][own_pixel(i)] : 0.0f;
}

static __global__ void __launch_bounds__(kNarrow.threads)
    narrow_cross_entropy_fisher_kernel(SoftmaxCrossEntropyFisher f) {
  auto& shared = block_shared<NarrowFisherShared>();
  const SoftmaxCrossEntropy& p = f.at;
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  for (int c = 0; c < p.classes && smoothing.even != 0.0f; ++c)
    smoothing.weights += class_weight(p.class_weights, c);

  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  for (std::int64_t tile = tiles.first; tile < tiles.last; ++tile) {
    const std::int64_t first = tile * kNarrow.pixels;
    const int pixels =
        static_cast<int>(p.pixels - first < kNarrow.pixels ? p.pixels - first : kNarrow.pixels);
    for_each_element(kNarrow.pixels, p.classes, [&](int pixel, int c) {
      const bool valid = pixel < pixels;
      shared.value[c][pixel] = valid ? p.x[(first + pixel) * p.ldx + c] : 0.0f;
      if (f.u != nullptr)
        shared.direction[c][pixel] = valid ? f.u[(first + pixel) * f.ldu + c] : 0.0f;
    });
    __syncthreads();
    OwnPixels own;
    find_peaks(p, shared.value, own);
    read_labels(p, first, pixels, shared.value, own);
    sum_exponentials(p, smoothing, shared.value, own);
    own_residuals(f, smoothing, first, shared.value, own);
    own_fisher(f, denominator, own, shared);
    __syncthreads();
    for_each_element(pixels, p.classes, [&](int pixel, int c) {
      f.fu[(first + pixel) * f.ld_fu + c] = shared.direction[c][pixel];
    });
    __syncthreads();  // before the next tile overwrites this one
  }
}

// ---- many classes ------------------------------------------------------------------------------

struct WideFisherShared {
  BlockSumScratch<float> scratch;
};

/// Writes one pixel's product; the same branches in every thread.
__device__ __forceinline__ void wide_fisher_pixel(const SoftmaxCrossEntropyFisher& f,
                                                  const Smoothing& smoothing, float s,
                                                  float denominator, std::int64_t pixel,
                                                  WideFisherShared& shared) {
  const SoftmaxCrossEntropy& p = f.at;
  const float* x = p.x + pixel * p.ldx;
  const ClassWeights weights(p.class_weights, x);
  const int target = f.sampled ? f.sampled[pixel] : p.labels[pixel];
  const float chosen = f.sampled ? 1.0f : smoothing.on * weights[target] / s;
  const float even = f.sampled ? 0.0f : smoothing.even / s;
  const float peak = warp_max(x, p.classes);
  const auto exponential = [&](std::int64_t c) { return exp_float(x[c] - peak); };
  const float sum = block_sum(thread_sum<float>(p.classes, exponential), shared.scratch);
  const auto residual = [&](std::int64_t c) {
    return exp_float(x[c] - peak) / sum - even * weights[c] - (c == target ? chosen : 0.0f);
  };
  float scale = fisher_scale(s, denominator, f.u == nullptr);
  if (f.u != nullptr) {
    const float* u = f.u + pixel * f.ldu;
    const auto product = [&](std::int64_t c) { return residual(c) * u[c]; };
    scale *= block_sum(thread_sum<float>(p.classes, product), shared.scratch);
  }
  float* fu = f.fu + pixel * f.ld_fu;
  for (int c = block_begin(); c < p.classes; c += block_step()) fu[c] = scale * residual(c);
}

static __global__ void __launch_bounds__(kWideThreads)
    wide_cross_entropy_fisher_kernel(SoftmaxCrossEntropyFisher f) {
  auto& shared = block_shared<WideFisherShared>();
  const SoftmaxCrossEntropy& p = f.at;
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  const ClassWeights weights(p.class_weights, p.x);
  if (smoothing.even != 0.0f) {
    const auto weight = [&](std::int64_t c) { return weights[c]; };
    smoothing.weights = block_sum(thread_sum<float>(p.classes, weight), shared.scratch);
  }

  const Span span = block_span(p.pixels);
  for (std::int64_t pixel = span.first; pixel < span.last; ++pixel) {
    const std::int32_t label = p.labels[pixel];
    const bool valid = label >= 0 && label < p.classes && denominator != 0.0f;
    const float weight = valid ? class_weight(p.class_weights, label) : 0.0f;
    const float s = smoothing.on * weight + smoothing.even * smoothing.weights;
    // The same branch for the whole block, so no thread misses a barrier.
    if (valid && s > 0.0f)
      wide_fisher_pixel(f, smoothing, s, denominator, pixel, shared);
    else
      for (int c = block_begin(); c < p.classes; c += block_step())
        f.fu[pixel * f.ld_fu + c] = 0.0f;
  }
}

}  // namespace curvseg::CURVSEG_TARGET
