// Weight gradient of a 3x3 convolution with stride and dilation 1, over one or two terms, by the
// adjoint of the minimal filtering of winograd_tiles.hpp:
//
//   dw[:,:,c,k] = Gᵀ [ Σ_t Σ_tiles (Bᵀ d[tile, c] B) ⊙ (A dy[tile, k] Aᵀ) ] G
//
// sixteen matrix products over tiles of 2x2 outputs. Overwrites dw, or adds to it. Tiles are split
// into ranges that depend on shapes alone; each range has its own partial dw, and a second kernel
// adds them in order: no atomics, the same bits on every run. With one range the first kernel
// writes dw itself.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/sum_splits.hpp"
#include "conv2d/winograd_products.hpp"
#include "conv2d/winograd_weight_loaders.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How the work is cut; a function of shapes alone.
struct WinogradWeightPlan {
  int channel_blocks, output_blocks, splits;
};

struct WinogradWeightParams {
  Conv2dWeightGradient gradient;
  WinogradWeightPlan plan;
};

template <class Shape>
using WinogradWeightLoader = std::conditional_t<kStagedOperands, StagedWinogradWeightLoader<Shape>,
                                                CachedWinogradWeightLoader<Shape>>;
template <class Shape>
using WeightProducts = WinogradProducts<WinogradWeightBlockTile<Shape>, 1>;
template <class Shape>
using WinogradWeightShared = WinogradMemory<typename WinogradWeightLoader<Shape>::Shared,
                                            typename WeightProducts<Shape>::Shared>;

/// Writes the block's part of a filter to `out`, or adds it.
template <class Shape>
__device__ __forceinline__ void store_winograd_weights(const Conv2dProblem& c,
                                                       const WinogradWeightRange& range,
                                                       const WeightProducts<Shape>& products,
                                                       bool add, float* out) {
  constexpr WinogradWeightTile kTile = Shape::kTile;
  constexpr int kWidth = WeightProducts<Shape>::kLanes;
  constexpr int kAcross = kTile.outputs / kWidth;
  for (int e = block_begin(); e < kTile.channels * kAcross; e += block_step()) {
    const int row = e / kAcross, column = e % kAcross * kWidth;
    const int channel = range.first_channel + row, output = range.first_output + column;
    if (channel >= c.c || output >= c.k) continue;
    const int count = min_of(c.k - output, kWidth);
    float* to = out + static_cast<std::int64_t>(channel) * c.k + output;
    gather_filter<kWidth>(
        [&](int i, int j)
            __attribute__((always_inline)) { return products.lanes(0, 4 * i + j, row, column); },
        [&](int r, int s, Lanes<kWidth, float> value) __attribute__((always_inline)) {
          float* tap = to + static_cast<std::int64_t>(3 * r + s) * c.c * c.k;
          if (add) value = value + load_group<kWidth>(tap, count);
          store_group(tap, value, count);
        });
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kTile.threads)
    conv2d_winograd_weights_kernel(WinogradWeightParams p) {
  constexpr WinogradWeightTile kTile = Shape::kTile;
  constexpr int kMicrotiles = kWinogradPlanes * WinogradWeightBlockTile<Shape>::kMicrotiles;
  const Conv2dWeightGradient& g = p.gradient;
  const WinogradSides sides(g.problem, Conv2dDirection::kForward);
  // Outputs fastest: blocks that run together read the same pixels.
  int block = static_cast<int>(blockIdx.x);
  const int output_block = block % p.plan.output_blocks;
  block /= p.plan.output_blocks;
  const int channel_block = block % p.plan.channel_blocks;
  const std::int64_t split = block / p.plan.channel_blocks;
  WinogradWeightRange range;
  range.first_channel = channel_block * kTile.channels;
  range.first_output = output_block * kTile.outputs;
  range.first_tile = sides.tiles() * split / p.plan.splits;
  range.last_tile = sides.tiles() * (split + 1) / p.plan.splits;

  auto& shared = block_shared<WinogradWeightShared<Shape>>();
  WeightProducts<Shape> products(shared.products);
  WinogradWeightLoader<Shape> loader(g, sides, range, shared.operands);
  products.clear();
  for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
    loader.acquire(step);
    for (int t = block_begin(); t < kMicrotiles; t += block_step())
      loader.multiply(step, t, products.at(0, t));
    loader.release();
  }
  products.publish();
  const bool alone = p.plan.splits == 1;
  const std::int64_t floats = std::int64_t{9} * g.problem.c * g.problem.k;
  store_winograd_weights<Shape>(g.problem, range, products, alone && g.accumulate,
                                alone ? g.dw : g.workspace + split * floats);
}

}  // namespace curvseg::CURVSEG_TARGET
