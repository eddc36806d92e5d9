// Tile shapes of the convolution kernels, one aggregate per shape with a reason per field.
#pragma once

#include "exec/exec.hpp"

namespace curvseg::CURVSEG_TARGET {

/// A block's share of a gather: `pixels` x `channels` outputs, `reduction` source channels a step.
struct GatherTile {
  int pixels;     // rows of the block tile, a multiple of the microtile's
  int channels;   // columns of the block tile
  int panel;      // columns of a filter panel: what one microtile (host) or block (GPU) reads
  int reduction;  // channels of one step; a GPU stages them, a host walks them in cache
  int threads;
  int rows = kTileRows;        // of a microtile
  int columns = kTileColumns;  // likewise
};
template <class Shape>
using GatherBlockTile =
    BlockTile<Shape::kTile.pixels, Shape::kTile.channels, Shape::kTile.rows, Shape::kTile.columns>;

// GPU, wide: 8x8 accumulators a thread, 64 FMAs for four 16-byte shared loads, keep FFMA, not the
// shared port, the limit. 16 channels a step: two buffers are 24 KiB, so that registers bound the
// blocks of an SM.
// GPU, narrow: for 32 output channels or fewer (first levels, class heads) no half is wasted.
// Host, wide: 48 pixels, whose source rows (48·C floats) and a panel's taps share the first-level
// cache with the accumulators; 256 channels a step keep a step of one panel inside that cache.
// Host, narrow: one panel, so that a block has twice the pixels for the same accumulators' room and
// half the blocks to set up.
// Host, slim: one vector of output channels (16 with AVX-512: the first level of a narrow network),
// which would fill half of a narrow tile. GPU: none.
//
// Shapes are types around the aggregate because nvcc's host stubs cannot name a kernel whose
// template argument is an object of class type.
struct WideGatherTile {
  static constexpr GatherTile kTile =
      kStagedOperands ? GatherTile{128, 64, 64, 16, 128}
                      : GatherTile{8 * kTileRows, 4 * kTileColumns, kTileColumns, 256, 1};
};
struct NarrowGatherTile {
  static constexpr GatherTile kTile =
      kStagedOperands ? GatherTile{128, 32, 32, 16, 64}
                      : GatherTile{16 * kTileRows, kTileColumns, kTileColumns, 256, 1};
};
struct SlimGatherTile {
  static constexpr GatherTile kTile{16 * kSlimTileRows, kSlimTileColumns, kSlimTileColumns, 256, 1,
                                    kSlimTileRows,      kSlimTileColumns};
};

// Host, windows: filters three columns wide, stride and dilation 1, as nearly all of a network has.
// A microtile is a run of pixels of one line. The reduction is short so that the padded copy of
// three rows that an image's edge needs stays in the first-level cache.
struct WideWindowTile {
  static constexpr GatherTile kTile{96, 4 * kTileColumns, kTileColumns, 64,
                                    1,  kWindowRows,      kTileColumns};
};
struct NarrowWindowTile {
  static constexpr GatherTile kTile{192, kTileColumns, kTileColumns, 64,
                                    1,   kWindowRows,  kTileColumns};
};
struct SlimWindowTile {
  static constexpr GatherTile kTile{256, kSlimTileColumns, kSlimTileColumns, 64,
                                    1,   kSlimWindowRows,  kSlimTileColumns};
};
// Host, lines: short sums. A microtile is long enough to make calls and conditions cheap. Where it
// writes but a part of its pixels' channels, caches prefetch badly, and shorter ones are faster.
struct WideLineTile {
  static constexpr GatherTile kTile{96, 4 * kTileColumns, kTileColumns, 256, 1, 24, kTileColumns};
};
struct NarrowLineTile {
  static constexpr GatherTile kTile{384, kTileColumns, kTileColumns, 256, 1, 48, kTileColumns};
};
struct SlimLineTile {
  static constexpr GatherTile kTile{384, kSlimTileColumns, kSlimTileColumns, 256, 1,
                                    48,  kSlimTileColumns};
};
template <class Shape>
inline constexpr bool kIsLine = false;
template <>
inline constexpr bool kIsLine<WideLineTile> = true;
template <>
inline constexpr bool kIsLine<NarrowLineTile> = true;
template <>
inline constexpr bool kIsLine<SlimLineTile> = true;
template <class Shape>
inline constexpr bool kIsWindow = false;
template <>
inline constexpr bool kIsWindow<WideWindowTile> = true;
template <>
inline constexpr bool kIsWindow<NarrowWindowTile> = true;
template <>
inline constexpr bool kIsWindow<SlimWindowTile> = true;

/// Whether slim tiles leave less of their columns empty than narrow ones, and enough to make up for
/// reading the source once a tile.
constexpr bool takes_slim_tiles(int outputs) {
  if (!kSlimTiles || outputs > 3 * kSlimTileColumns) return false;
  const int rest = outputs % (2 * kSlimTileColumns);
  return rest > 0 && rest <= kSlimTileColumns;
}

/// A block's share of a weight gradient: `channels` x `outputs` of `taps` filter taps at most,
/// over `pixels` pixels a step.
struct WeightTile {
  int channels;
  int outputs;
  int taps;
  int pixels;
  int threads;
  int rows = kTileRows;        // of a microtile
  int columns = kTileColumns;  // likewise
};
template <class Shape>
using WeightBlockTile =
    BlockTile<Shape::kTile.channels, Shape::kTile.outputs, Shape::kTile.rows, Shape::kTile.columns>;

// GPU: as the wide gather tile, one tap a block, 16 pixels a step.
// Host: 72 channels are whole microtiles at 6 and at 12 rows; 128 pixels of x and dy at 64 channels
// are 64 KiB, second-level cache, and the taps of a block reuse them from there.
// Host, slim: as the slim gather tile; rows are 16 with AVX-512, as many as such layers have
// channels.
struct WideWeightTile {
  static constexpr WeightTile kTile =
      kStagedOperands ? WeightTile{64, 64, 1, 16, 64} : WeightTile{72, 4 * kTileColumns, 9, 128, 1};
};
// Host, windows: filters three columns wide, stride and dilation 1. The three taps of a row share
// the registers, so that a microtile has a third of the channels.
struct WideWindowWeightTile {
  static constexpr WeightTile kTile{72, 4 * kTileColumns, 9,           128,
                                    1,  kOuterWindowRows, kTileColumns};
};
struct SlimWindowWeightTile {
  static constexpr WeightTile kTile{
      72, kSlimTileColumns, 9, 128, 1, kSlimOuterWindowRows, kSlimTileColumns};
};
template <>
inline constexpr bool kIsWindow<WideWindowWeightTile> = true;
template <>
inline constexpr bool kIsWindow<SlimWindowWeightTile> = true;
/// Of a weight gradient's filter.
template <class Shape>
inline constexpr int kTapsAtOnce = kIsWindow<Shape> ? 3 : 1;

struct SlimWeightTile {
  static constexpr WeightTile kTile{4 * kSlimOuterRows, kSlimTileColumns, 9, 128, 1,
                                    kSlimOuterRows,     kSlimTileColumns};
};

}  // namespace curvseg::CURVSEG_TARGET
