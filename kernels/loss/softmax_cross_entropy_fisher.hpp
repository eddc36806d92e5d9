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
  float weights[kNarrow.classes];
};

/// The class that r subtracts, −1 where none is; its weight in t goes into `chosen`.
__device__ __forceinline__ PixelInts own_targets(const SoftmaxCrossEntropyFisher& f,
                                                 const PixelTile& tile, int at,
                                                 const PixelInts& label) {
  if (f.sampled == nullptr) return label;
  const auto sampled = load_group<kPixelLanes>(f.sampled + tile.first + at, tile.pixels - at);
  return select(label > -1, sampled, fill_lanes<kPixelLanes>(-1));
}

/// direction ← the result for a group of pixels; value ← softmax − t.
__device__ __forceinline__ void own_fisher(const SoftmaxCrossEntropyFisher& f,
                                           const Smoothing& smoothing, float denominator,
                                           const PixelTile& tile, int at, const OwnPixels& own,
                                           NarrowFisherShared& shared) {
  const int classes = f.at.classes;
  const PixelFloats zero = same_in_lanes(0.0f), one = same_in_lanes(1.0f);
  const PixelFloats s = own.both(smoothing);
  // Of q / s: the label's part, and what every class gets for a weight of 1.
  const PixelFloats chosen = f.sampled ? one : smoothing.on * own.weight / s;
  const PixelFloats even = f.sampled ? zero : same_in_lanes(smoothing.even) / s;
  const auto label = denominator != 0.0f ? select(s > 0.0f, own.label, fill_lanes<kPixelLanes>(-1))
                                         : fill_lanes<kPixelLanes>(-1);
  const PixelInts target = own_targets(f, tile, at, label);
  PixelFloats product = zero;
  for (int c = 0; c < classes; ++c) {
    const PixelFloats all = load_row(shared.value, c, at) / own.sum - shared.weights[c] * even;
    const PixelFloats r = select(target == c, all - chosen, all);
    store_row(shared.value, c, at, r);
    if (f.u != nullptr) product = product + r * load_row(shared.direction, c, at);
  }
  PixelFloats scale = (f.u != nullptr ? s : square_root(s)) / denominator;
  if (f.u != nullptr) scale = scale * product;
  const auto counts = label > -1;
  for (int c = 0; c < classes; ++c)
    store_row(shared.direction, c, at, select(counts, scale * load_row(shared.value, c, at), zero));
}

static __global__ void __launch_bounds__(kNarrow.threads)
    narrow_cross_entropy_fisher_kernel(SoftmaxCrossEntropyFisher f) {
  auto& shared = block_shared<NarrowFisherShared>();
  const SoftmaxCrossEntropy& p = f.at;
  const float denominator = *p.denominator;
  Smoothing smoothing(p);
  read_class_weights(p, smoothing, shared.weights);

  const Span tiles = block_span(divide_up(p.pixels, kNarrow.pixels));
  for (std::int64_t i = tiles.first; i < tiles.last; ++i) {
    const PixelTile tile(p, i);
    const TilePrefetch prefetch{tile.next(p.x, p.ldx), tile.next(f.u, f.ldu),
                                tile.begin(f.fu, f.ld_fu)};
    load_tile(tile, p.x, p.ldx, p.classes, shared.value);
    if (f.u != nullptr) load_tile(tile, f.u, f.ldu, p.classes, shared.direction);
    __syncthreads();
    for_each_group([&](int at) {
      const OwnPixels own =
          own_exponentials(p, smoothing, shared.weights, tile, at, prefetch, shared.value);
      own_fisher(f, smoothing, denominator, tile, at, own, shared);
    });
    __syncthreads();
    store_tile(tile, shared.direction, f.fu, f.ld_fu, p.classes);
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
