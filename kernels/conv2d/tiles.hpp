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
};

// GPU, wide: 8x8 accumulators a thread, 64 FMAs for four 16-byte shared loads, keep FFMA, not the
// shared port, the limit. 16 channels a step: two buffers are 24 KiB, so that registers bound the
// blocks of an SM.
// GPU, narrow: for 32 output channels or fewer (first levels, class heads) no half is wasted.
// Host, wide: 48 pixels, whose source rows (48·C floats) and a panel's taps share the first-level
// cache with the accumulators; 256 channels a step keep a step of one panel inside that cache.
// Host, narrow: one panel, so that a block has twice the pixels for the same accumulators' room and
// half the blocks to set up.
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

/// A block's share of a weight gradient: `channels` x `outputs` of `taps` filter taps at most,
/// over `pixels` pixels a step.
struct WeightTile {
  int channels;
  int outputs;
  int taps;
  int pixels;
  int threads;
};

// GPU: as the wide gather tile, one tap a block, 16 pixels a step.
// Host: 72 channels are whole microtiles at 6 and at 12 rows; 128 pixels of x and dy at 64 channels
// are 64 KiB, second-level cache, and the taps of a block reuse them from there.
struct WeightShape {
  static constexpr WeightTile kTile =
      kStagedOperands ? WeightTile{64, 64, 1, 16, 64} : WeightTile{72, 4 * kTileColumns, 9, 128, 1};
};

}  // namespace curvseg::CURVSEG_TARGET
