// The Hessian of softmax cross-entropy with respect to the logits, times u, D = denominator[0]:
//
//   p = softmax(x),  s = (1−ε)·w_y + (ε/C)·Σ_c w_c
//   hu_c = s·p_c·(u_c − Σ_k p_k·u_k) / D
//
// Overwrites hu, which may be u. Pixels without a valid label get 0, whatever their logits.
// Exact, not an approximation: (diag p − p pᵀ) is the Hessian of log Σ exp, and the rest of the
// loss is linear in x. Source: Schraudolph, "Fast Curvature Matrix-Vector Products for
// Second-Order Gradient Descent", Neural Computation 14 (2002), table 1.
//
// Tiles and the split by number of classes are those of softmax_tiles.hpp.
#pragma once

#include "loss/softmax_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

// ---- few classes -------------------------------------------------------------------------------

struct NarrowHessianShared {
  NarrowRows value;      // [class][pixel]: logits, then exponentials
  NarrowRows direction;  // [class][pixel]: u, then the result
  float weights[kNarrow.classes];
};

/// direction ← s/Σe·e·(u − Σ e·u / Σe) / D for a group of pixels, with e = exp(x − max x).
__device__ __forceinline__ void own_hessian(const Smoothing& smoothing, float denominator,
                                            int classes, int at, const OwnPixels& own,
                                            NarrowHessianShared& shared) {
  PixelFloats product = same_in_lanes(0.0f);
  for (int c = 0; c < classes; ++c)
    product = product + load_row(shared.value, c, at) * load_row(shared.direction, c, at);
  const PixelFloats mean = product / own.sum;
  const PixelFloats scale = own.both(smoothing) / own.sum / denominator;
  const auto label = denominator != 0.0f ? own.label : fill_lanes<kPixelLanes>(-1);
  const auto counts = label > -1;
  for (int c = 0; c < classes; ++c) {
    const PixelFloats u = load_row(shared.direction, c, at);
    const PixelFloats hu = load_row(shared.value, c, at) * scale * (u - mean);
    store_row(shared.direction, c, at, select(counts, hu, same_in_lanes(0.0f)));
  }
}

static __global__ void __launch_bounds__(kNarrow.threads)
    narrow_cross_entropy_hessian_kernel(SoftmaxCrossEntropyHessian h) {
  auto& shared = block_shared<NarrowHessianShared>();
  const SoftmaxCrossEntropy& p = h.at;
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  read_class_weights(p, smoothing, shared.weights);

  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  for (std::int64_t i = tiles.first; i < tiles.last; ++i) {
    const PixelTile tile(p, i);
    const TilePrefetch prefetch{tile.next(p.x, p.ldx), tile.next(h.u, h.ldu),
                                tile.begin(h.hu, h.ld_hu)};
    load_tile(tile, p.x, p.ldx, p.classes, shared.value);
    load_tile(tile, h.u, h.ldu, p.classes, shared.direction);
    __syncthreads();
    for_each_group([&](int at) {
      const OwnPixels own =
          own_exponentials(p, smoothing, shared.weights, tile, at, prefetch, shared.value);
      own_hessian(smoothing, denominator, p.classes, at, own, shared);
    });
    __syncthreads();
    store_tile(tile, shared.direction, h.hu, h.ld_hu, p.classes);
    __syncthreads();  // before the next tile overwrites this one
  }
}

// ---- many classes ------------------------------------------------------------------------------

struct WideHessianShared {
  BlockSumScratch<float> scratch;
};

static __global__ void __launch_bounds__(kWideThreads)
    wide_cross_entropy_hessian_kernel(SoftmaxCrossEntropyHessian h) {
  auto& shared = block_shared<WideHessianShared>();
  const SoftmaxCrossEntropy& p = h.at;
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
    const float* x = p.x + pixel * p.ldx;
    const float* u = h.u + pixel * h.ldu;
    float* hu = h.hu + pixel * h.ld_hu;
    // The same branch for the whole block, so no thread misses a barrier.
    if (label < 0 || label >= p.classes || denominator == 0.0f) {
      for (int c = block_begin(); c < p.classes; c += block_step()) hu[c] = 0.0f;
      continue;
    }
    const float weight = ClassWeights(p.class_weights, x)[label];
    const float peak = warp_max(x, p.classes);
    const auto exponential = [&](std::int64_t c) { return exp_float(x[c] - peak); };
    const float sum = block_sum(thread_sum<float>(p.classes, exponential), shared.scratch);
    const auto product = [&](std::int64_t c) { return exp_float(x[c] - peak) * u[c]; };
    const float mean = block_sum(thread_sum<float>(p.classes, product), shared.scratch) / sum;
    const float s = smoothing.on * weight + smoothing.even * smoothing.weights;
    const float scale = s / sum / denominator;
    for (int c = block_begin(); c < p.classes; c += block_step())
      hu[c] = exp_float(x[c] - peak) * scale * (u[c] - mean);
  }
}

}  // namespace curvseg::CURVSEG_TARGET
