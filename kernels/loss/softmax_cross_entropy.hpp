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
  float weights[kNarrow.classes];
  float even[kNarrow.classes];    // (ε/C)·w_c / D
  float chosen[kNarrow.classes];  // (1−ε)·w_c / D
  BlockSumScratch<double> scratch;
};

/// −Σ_c q_c·log p_c of a group of pixels.
__device__ __forceinline__ PixelFloats own_loss(const Smoothing& smoothing, const OwnPixels& own) {
  const PixelFloats log_sum = log_float(own.sum);
  const PixelFloats loss = smoothing.on * own.weight * (log_sum - own.chosen) +
                           smoothing.even * (smoothing.weights * log_sum - own.even);
  return select(own.label > -1, loss, same_in_lanes(0.0f));
}

__device__ __forceinline__ void own_gradient(const Smoothing& smoothing, float denominator,
                                             int classes, int at, const OwnPixels& own,
                                             NarrowShared& shared) {
  const PixelFloats scale = own.both(smoothing) / own.sum / denominator;
  const auto label = denominator != 0.0f ? own.label : fill_lanes<kPixelLanes>(-1);
  const auto counts = label > -1;
  for (int c = 0; c < classes; ++c) {
    const PixelFloats all = load_row(shared.value, c, at) * scale - same_in_lanes(shared.even[c]);
    const auto gradient = select(label == c, all - same_in_lanes(shared.chosen[c]), all);
    store_row(shared.value, c, at, select(counts, gradient, same_in_lanes(0.0f)));
  }
}

static __global__ void __launch_bounds__(kNarrow.threads)
    narrow_cross_entropy_kernel(SoftmaxCrossEntropy p) {
  auto& shared = block_shared<NarrowShared>();
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  read_class_weights(p, smoothing, shared.weights);
  for (int c = block_begin(); c < p.classes; c += block_step()) {
    shared.even[c] = smoothing.even * class_weight(p.class_weights, c) / denominator;
    shared.chosen[c] = smoothing.on * class_weight(p.class_weights, c) / denominator;
  }

  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  LaneSums<kPixelLanes> loss;
  for (std::int64_t i = tiles.first; i < tiles.last; ++i) {
    const PixelTile tile(p, i);
    const TilePrefetch prefetch{tile.next(p.x, p.ldx), nullptr, tile.begin(p.dx, p.ld_dx)};
    load_tile(tile, p.x, p.ldx, p.classes, shared.value);
    __syncthreads();
    for_each_group([&](int at) {
      const OwnPixels own =
          own_exponentials(p, smoothing, shared.weights, tile, at, prefetch, shared.value);
      add_lanes(loss, own_loss(smoothing, own));
      if (p.dx != nullptr) own_gradient(smoothing, denominator, p.classes, at, own, shared);
    });
    __syncthreads();
    if (p.dx != nullptr) {
      store_tile(tile, shared.value, p.dx, p.ld_dx, p.classes);
      __syncthreads();  // before the next tile overwrites this one
    }
  }
  store_partial(sum_lanes(loss), shared.scratch, p.workspace);
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
  const float distance = x[label] - peak;
  float sum;
  if (p.dx != nullptr) {  // each thread finds its exponentials there again
    float* __restrict__ const dx = p.dx + pixel * p.ld_dx;
    for (int c = block_begin(); c < p.classes; c += block_step()) dx[c] = exp_float(x[c] - peak);
    sum = block_sum(thread_sum<float>(p.classes, [&](std::int64_t c) { return dx[c]; }),
                    shared.scratch);
  } else {
    const auto exponential = [&](std::int64_t c) { return exp_float(x[c] - peak); };
    sum = block_sum(thread_sum<float>(p.classes, exponential), shared.scratch);
  }
  float even = 0.0f;
  if (smoothing.even != 0.0f) {
    const auto weighted = [&](std::int64_t c) { return weights[c] * (x[c] - peak); };
    even = block_sum(thread_sum<float>(p.classes, weighted), shared.scratch);
  }
  if (p.dx != nullptr) {
    float* __restrict__ const dx = p.dx + pixel * p.ld_dx;
    const float s = smoothing.on * weight + smoothing.even * smoothing.weights;
    const float scale = s / sum / denominator;
    const float chosen = smoothing.on * weight / denominator;
    for (int c = block_begin(); c < p.classes; c += block_step()) {
      const float q = smoothing.even * weights[c] / denominator;
      const float gradient = dx[c] * scale - q;
      dx[c] = c == label ? gradient - chosen : gradient;
    }
  }
  const float log_sum = log_float(sum);
  return smoothing.on * weight * (log_sum - distance) +
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
