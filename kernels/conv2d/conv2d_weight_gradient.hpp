// Convolution weight gradient over one or two terms:
//
//   dw[r,s,c,k] = Σ_t Σ_{n,p,q} x_t[n, p·stride_h − pad_h + r·dilation_h, …, c] · dy_t[n,p,q,k]
//
// or, with `squares`, the same for each image alone, squared and added:
//
//   dw[r,s,c,k] = Σ_n (Σ_t Σ_{p,q} x_t[…] · dy_t[n,p,q,k])²
//
// Overwrites dw, or adds to it. Pixels are split into ranges that depend on shapes alone; each
// range has its own partial sum, and a second kernel adds them in order: no atomics, the same bits
// on every run. With one range the first kernel writes dw itself. Ranges of squares are aligned to
// images: some whole images, whose squares the block adds up in memory that it alone writes, or a
// part of one image, which the second kernel completes before it squares.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/sum_splits.hpp"
#include "conv2d/tiles.hpp"
#include "conv2d/weight_loaders.hpp"
#include "conv2d/window_weight_loader.hpp"
#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How the work is cut; a function of shapes alone.
struct WeightPlan {
  int taps_per_block;
  int tap_blocks, channel_blocks, output_blocks;
  int splits;  // partial results
  int groups;  // of pixels whose sum stands for itself: images, or all pixels as one
  int parts;   // of a group; with 1, a split has whole groups, else it is one part
};

/// Pixels [first, last) of part `unit` of all groups' parts.
struct PixelRange {
  std::int64_t first, last;
};
inline __device__ PixelRange unit_pixels(const Conv2dProblem& c, const WeightPlan& plan,
                                         std::int64_t unit) {
  const std::int64_t pixels = static_cast<std::int64_t>(c.n) * c.p * c.q / plan.groups;
  const std::int64_t group = unit / plan.parts, part = unit - group * plan.parts;
  return {group * pixels + pixels * part / plan.parts,
          group * pixels + pixels * (part + 1) / plan.parts};
}

struct WeightGradientParams {
  Conv2dWeightGradient gradient;
  WeightPlan plan;
};

template <class Shape>
using HostWeightLoader =
    std::conditional_t<kIsWindow<Shape>, WindowWeightLoader<Shape>, InPlaceWeightLoader<Shape>>;
template <class Shape>
using WeightLoader =
    std::conditional_t<kStagedOperands, StagedWeightLoader<Shape>, HostWeightLoader<Shape>>;

template <class Shape>
struct WeightShared {
  static constexpr WeightTile kTile = Shape::kTile;
  typename WeightLoader<Shape>::Shared operands;
  typename Accumulators<WeightBlockTile<Shape>, kTile.taps>::Shared accumulators;
};

/// Whether microtile `t` has a channel and an output. A thread of a GPU, which has one microtile,
/// need not know.
template <class Tile>
__device__ __forceinline__ bool in_use(const Conv2dProblem& c, const WeightRange& range, int t) {
  return kStagedOperands || (range.first_channel + Tile::row(t, 0) < c.c &&
                             range.first_output + Tile::column(t, 0) < c.k);
}

/// Writes the accumulators of `range` to `out`, or adds them, squared if `square`.
template <class Tile, class Accumulated>
__device__ __forceinline__ void store_weights(const Conv2dProblem& c, const WeightRange& range,
                                              Accumulated& accumulators, bool square, bool add,
                                              float* out) {
  for (int tap = 0; tap < range.taps; ++tap)
    for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step()) {
      if (!in_use<Tile>(c, range, t)) continue;
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
          if (square) value = value * value;
          if (add) value = value + load_group<Tile::kGroupColumns>(to, count);
          store_group(to, value, count);
        }
      }
    }
}

template <class Shape, bool kSquares>
__global__ void __launch_bounds__(Shape::kTile.threads)
    conv2d_weight_gradient_kernel(WeightGradientParams p) {
  constexpr WeightTile kTile = Shape::kTile;
  using Tile = WeightBlockTile<Shape>;
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
  WeightRange range;
  range.first_channel = channel_block * kTile.channels;
  range.first_output = output_block * kTile.outputs;
  range.first_tap = tap_block * plan.taps_per_block;
  range.taps = min_of(c.r * c.s - range.first_tap, plan.taps_per_block);

  auto& shared = block_shared<WeightShared<Shape>>();
  Accumulators<Tile, kTile.taps> accumulators(shared.accumulators);
  WeightLoader<Shape> loader(g, range, shared.operands);
  const std::int64_t floats = static_cast<std::int64_t>(c.r) * c.s * c.c * c.k;
  float* out = plan.splits == 1 ? g.dw : g.workspace + split * floats;
  bool add = plan.splits == 1 && g.accumulate;
  // Some whole images, each of them squared, or one part.
  const bool square = kSquares && plan.parts == 1;
  const std::int64_t groups = plan.groups;
  const std::int64_t first = square ? groups * split / plan.splits : split;
  const std::int64_t last = square ? groups * (split + 1) / plan.splits : split + 1;
  for (std::int64_t unit = first; unit < last; ++unit) {
    const PixelRange pixels = unit_pixels(c, plan, unit);
    range.first_pixel = pixels.first;
    range.last_pixel = pixels.last;
    for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step())
      if (in_use<Tile>(c, range, t)) accumulators.clear(t, range.taps);
    for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
      for (int tap = 0; tap < range.taps; tap += kTapsAtOnce<Shape>) {
        loader.acquire(step, tap);
        for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step())
          if (in_use<Tile>(c, range, t)) loader.multiply(step, tap, t, &accumulators.at(t, tap));
        loader.release();
      }
    }
    store_weights<Tile>(c, range, accumulators, square, add, out);
    add = true;
  }
}

}  // namespace curvseg::CURVSEG_TARGET
