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
// Two kernels, for few classes and for many: softmax_tiles.hpp.
#pragma once

#include "loss/softmax_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

// ---- few classes -------------------------------------------------------------------------------

struct NarrowShared {
  NarrowRows value;  // [class][pixel]: logits, then exponentials, then gradients
  BlockSumScratch<double> scratch;
};

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

struct WideShared {
  BlockSumScratch<float> scratch;
  BlockSumScratch<double> loss;
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
