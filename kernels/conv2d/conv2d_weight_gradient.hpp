// Convolution weight gradient over one or two terms:
//
//   dw[r,s,c,k] = Σ_t Σ_{n,p,q} x_t[n, p·stride_h − pad_h + r·dilation_h, …, c] · dy_t[n,p,q,k]
//
// Overwrites dw, or adds to it. Pixels are split into ranges that depend on shapes alone; each
// range has its own partial sum, and a second kernel adds them in order: no atomics, the same bits
// on every run. With one range the first kernel writes dw itself.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/tiles.hpp"
#include "conv2d/weight_loaders.hpp"
#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How the work is cut; a function of shapes alone.
struct WeightPlan {
  int taps_per_block;
  int tap_blocks, channel_blocks, output_blocks;
  int splits;
};

struct WeightGradientParams {
  Conv2dWeightGradient gradient;
  WeightPlan plan;
};

template <class Shape>
struct WeightShared {
  static constexpr WeightTile kTile = Shape::kTile;
  typename WeightLoader<Shape>::Shared operands;
  typename Accumulators<BlockTile<kTile.channels, kTile.outputs>, kTile.taps>::Shared accumulators;
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kTile.threads)
    conv2d_weight_gradient_kernel(WeightGradientParams p) {
  constexpr WeightTile kTile = Shape::kTile;
  using Tile = BlockTile<kTile.channels, kTile.outputs>;
  const Conv2dWeightGradient& g = p.gradient;
  const Conv2dProblem& c = g.problem;
  const WeightPlan& plan = p.plan;

  // Taps fastest: blocks that run together read the same pixels.
  int block = static_cast<int>(blockIdx.x);
  const int tap_block = block % plan.tap_blocks;
  block /= plan.tap_blocks;
  const int output_block = block % plan.output_blocks;
  block /= plan.output_blocks;
  const int channel_block = block % plan.channel_blocks;
  const int split = block / plan.channel_blocks;
  const std::int64_t pixels = static_cast<std::int64_t>(c.n) * c.p * c.q;
  WeightRange range;
  range.first_channel = channel_block * kTile.channels;
  range.first_output = output_block * kTile.outputs;
  range.first_tap = tap_block * plan.taps_per_block;
  range.taps = min_of(c.r * c.s - range.first_tap, plan.taps_per_block);
  range.first_pixel = pixels * split / plan.splits;
  range.last_pixel = pixels * (split + 1) / plan.splits;

  auto& shared = block_shared<WeightShared<Shape>>();
  Accumulators<Tile, kTile.taps> accumulators(shared.accumulators);
  accumulators.clear(range.taps);
  WeightLoader<Shape> loader(g, range, shared.operands);
  for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
    for (int tap = 0; tap < range.taps; ++tap) {
      loader.acquire(step, tap);
      for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step())
        loader.multiply(step, tap, t, accumulators.at(t, tap));
      loader.release();
    }
  }

  const std::int64_t floats = static_cast<std::int64_t>(c.r) * c.s * c.c * c.k;
  float* out = plan.splits == 1 ? g.dw : g.workspace + split * floats;
  const bool add = plan.splits == 1 && g.accumulate;
  for (int tap = 0; tap < range.taps; ++tap)
    for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step()) {
      const auto& tile = accumulators.at(t, tap);
      CURVSEG_UNROLL
      for (int i = 0; i < Tile::kRows; ++i) {
        const int channel = range.first_channel + Tile::row(t, i);
        CURVSEG_UNROLL
        for (int group = 0; group < Tile::kGroups; ++group) {
          const int output = range.first_output + Tile::column(t, group);
          if (channel >= c.c || output >= c.k) continue;
          const int count = min_of(c.k - output, Tile::kGroupColumns);
          float* to = out +
                      (static_cast<std::int64_t>(range.first_tap + tap) * c.c + channel) * c.k +
                      output;
          auto value = group_lanes<Tile>(tile, i, group);
          if (add) value = value + load_group<Tile::kGroupColumns>(to, count);
          store_group(to, value, count);
        }
      }
    }
}

struct SumSplits {
  const float* partial;
  float* dw;
  std::int64_t floats;
  int splits;
  bool accumulate;
};

/// dw = Σ_split partial[split], in the order of splits.
static __global__ void sum_splits_kernel(SumSplits p) {
  for (const std::int64_t i : grid_range(p.floats)) {
    float sum = p.accumulate ? p.dw[i] : 0.0f;
    for (int split = 0; split < p.splits; ++split) sum += p.partial[split * p.floats + i];
    p.dw[i] = sum;
  }
}

}  // namespace curvseg::CURVSEG_TARGET
