// What the kernels of softmax cross-entropy, its gradient and its Hessian share: tiles, labels,
// softmax numerators and their sums.
//
// Two shapes. Up to kNarrow.classes a block stages a tile of pixels turned over, so that logits are
// read from memory once, in the order of memory, and every thread owns pixels: one on a GPU, on the
// host registers full of them, so that few classes fill registers as well as many do. Beyond, a
// warp works on one pixel, and its second and third look at the logits come from a cache.
#pragma once

#include "exec/block_reduce.hpp"
#include "exec/exec.hpp"
#include "exec/lane_arithmetic.hpp"
#include "exec/turned_tile.hpp"
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
  int pixels;   // of a tile; a GPU thread owns one, the host's takes a few in a register
  int classes;  // at most
  int padding;  // of a row of shared memory: transposing must not meet in one bank
};
// The host's tile of 256 classes is at most 64 KiB, in a second-level cache.
inline constexpr NarrowTile kNarrow =
    kStagedOperands ? NarrowTile{128, 128, 32, 1} : NarrowTile{1, 4 * kRegisterLanes, 256, 0};

/// Pixels that a thread takes at a time. Four registers for the host: exponentials are chains of
/// operations, of which four must run side by side to fill the time that each takes.
inline constexpr int kPixelLanes = kStagedOperands ? 1 : 4 * kRegisterLanes;
static_assert(kNarrow.pixels % (kNarrow.threads * kPixelLanes) == 0, "threads own whole groups");

using PixelFloats = Lanes<kPixelLanes, float>;
using PixelInts = Lanes<kPixelLanes, int>;
using NarrowRows = float[kNarrow.classes][kNarrow.pixels + kNarrow.padding];

__device__ __forceinline__ PixelFloats same_in_lanes(float value) {
  return fill_lanes<kPixelLanes>(value);
}
__device__ __forceinline__ PixelFloats load_row(const NarrowRows& value, int c, int at) {
  return load_group<kPixelLanes>(&value[c][at], kPixelLanes);
}
__device__ __forceinline__ void store_row(NarrowRows& value, int c, int at,
                                          const PixelFloats& lanes) {
  store_group(&value[c][at], lanes, kPixelLanes);
}

/// f(at) for the groups of pixels that are this thread's, `at` the first pixel of one.
template <class Function>
__device__ __forceinline__ void for_each_group(const Function& f) {
  for (int at = block_begin() * kPixelLanes; at < kNarrow.pixels; at += block_step() * kPixelLanes)
    f(at);
}

/// A tile: pixels [first, first + pixels).
struct PixelTile {
  std::int64_t first;
  int pixels;

  /// Where the next one begins in a tensor.
  template <class T>
  __device__ __forceinline__ T* next(T* tensor, std::int64_t ld) const {
    return tensor == nullptr ? nullptr : tensor + (first + kNarrow.pixels) * ld;
  }
  /// Where this one does.
  template <class T>
  __device__ __forceinline__ T* begin(T* tensor, std::int64_t ld) const {
    return tensor == nullptr ? nullptr : tensor + first * ld;
  }

  __device__ __forceinline__ PixelTile(const SoftmaxCrossEntropy& p, std::int64_t tile)
      : first(tile * kNarrow.pixels),
        pixels(static_cast<int>(p.pixels - first < kNarrow.pixels ? p.pixels - first
                                                                  : kNarrow.pixels)) {}
};

/// The whole tile, zeros behind the last pixel: the loops over own pixels have no tail.
__device__ __forceinline__ void load_tile(const PixelTile& tile, const float* from, std::int64_t ld,
                                          int classes, NarrowRows& value) {
  load_turned<kNarrow.pixels>(value, from + tile.first * ld, ld, tile.pixels, classes);
}
__device__ __forceinline__ void store_tile(const PixelTile& tile, const NarrowRows& value,
                                           float* to, std::int64_t ld, int classes) {
  store_turned(value, to + tile.first * ld, ld, tile.pixels, classes);
}

/// What the host's caches are asked for while exponentials are computed, a share a class: the next
/// tile of what is read, this tile of what is written then. Otherwise memory and arithmetic take
/// turns, since a tile is too long for a processor to look beyond it.
struct TilePrefetch {
  const float* x;
  const float* u;  // nullptr: nothing
  float* to;       // nullptr: nothing

  __device__ __forceinline__ void ask(int c) const {
    const int at = c * kPixelLanes;
    prefetch_to_read(x + at, kPixelLanes);
    if (u != nullptr) prefetch_to_read(u + at, kPixelLanes);
    if (to != nullptr) prefetch_to_write(to + at, kPixelLanes);
  }
};

/// What a thread keeps of a group of pixels.
struct OwnPixels {
  PixelInts label;  // −1: contributes nothing
  PixelFloats weight;
  PixelFloats sum;     // Σ exp(x − max x)
  PixelFloats chosen;  // x_y − max x
  PixelFloats even;    // Σ w_c (x_c − max x)

  /// s of each pixel.
  __device__ __forceinline__ PixelFloats both(const Smoothing& smoothing) const {
    return smoothing.on * weight + same_in_lanes(smoothing.even * smoothing.weights);
  }
};

__device__ __forceinline__ PixelInts read_labels(const SoftmaxCrossEntropy& p,
                                                 const PixelTile& tile, int at) {
  const int count = tile.pixels - at;
  const auto label = load_group<kPixelLanes>(p.labels + tile.first + at, count);
  const auto valid = (label > -1) & (label < p.classes) & (lane_index<kPixelLanes>() < count);
  return select(valid, label, fill_lanes<kPixelLanes>(-1));
}

/// value ← exp(value − its pixel's largest). `weights` are of classes; the label's terms are picked
/// as they pass, which takes no load at an address of its own in every lane.
__device__ __forceinline__ OwnPixels own_exponentials(const SoftmaxCrossEntropy& p,
                                                      const Smoothing& smoothing,
                                                      const float* weights, const PixelTile& tile,
                                                      int at, const TilePrefetch& prefetch,
                                                      NarrowRows& value) {
  OwnPixels own;
  own.label = read_labels(p, tile, at);
  own.weight = own.chosen = own.sum = own.even = same_in_lanes(0.0f);
  PixelFloats peak = load_row(value, 0, at);
  for (int c = 0; c < p.classes; ++c) {
    const PixelFloats x = load_row(value, c, at);
    peak = select(peak < x, x, peak);  // a NaN elsewhere shows in the sum
    const auto is_label = own.label == c;
    own.chosen = select(is_label, x, own.chosen);
    own.weight = select(is_label, same_in_lanes(weights[c]), own.weight);
  }
  own.chosen = own.chosen - peak;
  for (int c = 0; c < p.classes && smoothing.even != 0.0f; ++c)
    own.even = own.even + weights[c] * (load_row(value, c, at) - peak);
  for (int c = 0; c < p.classes; ++c) {
    prefetch.ask(c);
    const PixelFloats e = exp_below(load_row(value, c, at) - peak);
    store_row(value, c, at, e);
    own.sum = own.sum + e;
  }
  return own;
}

/// The weights of classes into shared memory, `smoothing.weights` their sum.
__device__ __forceinline__ void read_class_weights(const SoftmaxCrossEntropy& p,
                                                   Smoothing& smoothing,
                                                   float (&weights)[kNarrow.classes]) {
  for (int c = block_begin(); c < p.classes; c += block_step())
    weights[c] = class_weight(p.class_weights, c);
  for (int c = 0; c < p.classes && smoothing.even != 0.0f; ++c)
    smoothing.weights += class_weight(p.class_weights, c);
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
  // GPU: a tile or a pixel a block while the machine is not full. Host: some 16 Ki logits a block,
  // but a thousand pixels at most.
  if (p.classes <= kNarrow.classes) {
    const auto pixels = min_of(1024, static_cast<int>(divide_up(16384, p.classes)));
    return sum_blocks(divide_up(p.pixels, kNarrow.pixels),
                      kStagedOperands ? 1 : divide_up(pixels, kNarrow.pixels), 2048);
  }
  return sum_blocks(p.pixels, kStagedOperands ? 1 : divide_up(16384, p.classes), 4096);
}

}  // namespace curvseg::CURVSEG_TARGET
