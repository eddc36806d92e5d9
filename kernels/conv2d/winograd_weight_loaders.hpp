// Where the 16 products of conv2d_winograd_weights.hpp find their operands: a step of tiles of x
// and of dy, transformed. Policies with one interface, as in winograd_loaders.hpp:
//
//   StagedWinogradWeightLoader   each thread transforms one tile and channel of both; the next
//                                step's are in its registers while this one is multiplied (GPU)
//   CachedWinogradWeightLoader   vectors of channels at a time (host)
#pragma once

#include "conv2d/winograd_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// A block's share: `channels` x `outputs` of all taps, over `tiles` tiles a step.
struct WinogradWeightTile {
  int channels, outputs, tiles, threads;
};
// GPU: as the gather's; 8 tiles x 32 channels of x and of dy are one transform each for 256
// threads. Operands are 32 KiB, products 64 KiB in the same memory.
// Host: transformed tiles and accumulators share the second-level cache, 370 KiB of them with AVX2
// and 64 outputs. More tiles a step load and store the accumulators less often, more channels and
// outputs transform less often and read x and dy less often. 36 channels are whole microtiles at 6
// and at 12 rows.
// Host, narrow: for two panels of outputs or fewer, more tiles in the same room.
struct WideWinogradWeightTile {
  static constexpr WinogradWeightTile kTile = kStagedOperands
                                                  ? WinogradWeightTile{32, 32, 8, 256}
                                                  : WinogradWeightTile{36, 4 * kTileColumns, 32, 1};
};
struct NarrowWinogradWeightTile {
  static constexpr WinogradWeightTile kTile{36, 2 * kTileColumns, 64, 1};
};
template <class Shape>
using WinogradWeightBlockTile = BlockTile<Shape::kTile.channels, Shape::kTile.outputs>;

/// The part of a weight gradient that a block sums up.
struct WinogradWeightRange {
  int first_channel, first_output;
  std::int64_t first_tile, last_tile;
};

/// Tiles [tile, tile + tiles) of a term.
struct WinogradWeightStep {
  int term;
  std::int64_t tile;
  int tiles;
};

/// What both loaders know about the problem.
template <class Shape>
struct WinogradWeightOperands {
  static constexpr WinogradWeightTile kTile = Shape::kTile;

  __device__ WinogradWeightStep begin() const {
    return sized({range.first_tile < range.last_tile ? 0 : p.terms, range.first_tile, 0});
  }
  __device__ bool valid(const WinogradWeightStep& step) const { return step.term < p.terms; }
  __device__ WinogradWeightStep next(WinogradWeightStep step) const {
    step.tile += kTile.tiles;
    if (step.tile < range.last_tile) return sized(step);
    step.tile = range.first_tile;
    ++step.term;
    return sized(step);
  }
  __device__ const float* x(int term, const WinogradPlace& place, int i, int j) const {
    const std::int64_t pixel = sides.patch_pixel(place, i, j);
    return pixel < 0 ? nullptr : p.term[term].x + pixel * p.term[term].ldx + range.first_channel;
  }
  __device__ const float* dy(int term, const WinogradPlace& place, int i, int j) const {
    if (i >= place.rows || j >= place.columns) return nullptr;
    const std::int64_t pixel = place.out + static_cast<std::int64_t>(i) * sides.columns.outputs + j;
    return p.term[term].dy + pixel * p.term[term].ldy + range.first_output;
  }

  const Conv2dWeightGradient& p;
  const WinogradSides& sides;
  const WinogradWeightRange& range;

 private:
  __device__ WinogradWeightStep sized(WinogradWeightStep step) const {
    const std::int64_t left = range.last_tile - step.tile;
    step.tiles = left < kTile.tiles ? static_cast<int>(left) : kTile.tiles;
    return step;
  }
};

// ---- cached ------------------------------------------------------------------------------------

template <class Shape>
class CachedWinogradWeightLoader {
  static constexpr WinogradWeightTile kTile = Shape::kTile;
  using Tile = WinogradWeightBlockTile<Shape>;
  static constexpr int kLine = 16;  // floats of a cache's
  static constexpr int kMost = (max_of(kTile.channels, kTile.outputs) + kLine - 1) / kLine * kLine;
  static constexpr float kZeros[kMost] = {};  // what a pixel outside the image reads
  // A plane is a line more than its tiles, see CachedWinogradLoader.
  static constexpr int kPlane = kTile.tiles * kMost + kLine;

 public:
  struct Shared {
    alignas(64) float x[kWinogradPlanes * kPlane];
    alignas(64) float dy[kWinogradPlanes * kPlane];
  };

  __device__ CachedWinogradWeightLoader(const Conv2dWeightGradient& p, const WinogradSides& sides,
                                        const WinogradWeightRange& range, Shared& shared)
      : operands_{p, sides, range},
        shared_(shared),
        channels_(min_of(p.problem.c - range.first_channel, kTile.channels)),
        outputs_(min_of(p.problem.k - range.first_output, kTile.outputs)),
        x_tile_(whole_lines(channels_)),
        dy_tile_(whole_lines(outputs_)) {}

  __device__ WinogradWeightStep begin() const { return operands_.begin(); }
  __device__ bool valid(const WinogradWeightStep& step) const { return operands_.valid(step); }
  __device__ WinogradWeightStep next(const WinogradWeightStep& step) const {
    return operands_.next(step);
  }

  __device__ void acquire(const WinogradWeightStep& step) {
    PixelCursor cursor = operands_.sides.cursor(step.tile);
    WinogradPlace place = operands_.sides.place(cursor);
    for (int tile = 0; tile < step.tiles; ++tile) {
      cursor.advance(1);
      const WinogradPlace next = operands_.sides.place(cursor);
      prefetch(step.term, next);
      transform_x(step.term, place, shared_.x + tile * x_tile_);
      transform_dy(step.term, place, shared_.dy + tile * dy_tile_);
      place = next;
    }
  }

  __device__ void multiply(const WinogradWeightStep& step, int t,
                           typename Tile::Storage& accumulator) {
    const int plane = t / Tile::kMicrotiles, microtile = t % Tile::kMicrotiles;
    const int row = Tile::row(microtile, 0), column = Tile::column(microtile, 0);
    if (row >= channels_ || column >= outputs_) return;
    Tile::multiply_outer(accumulator, shared_.x + plane * x_plane() + row, x_tile_,
                         min_of(channels_ - row, Tile::kRows),
                         shared_.dy + plane * dy_plane() + column, dy_tile_, step.tiles);
  }

  __device__ void release() {}

 private:
  static __device__ int whole_lines(int floats) {
    return static_cast<int>(divide_up(floats, kLine)) * kLine;
  }
  __device__ int x_plane() const { return kTile.tiles * x_tile_ + kLine; }
  __device__ int dy_plane() const { return kTile.tiles * dy_tile_ + kLine; }

  /// What a tile reads and the one before it in its line does not.
  __device__ void prefetch(int term, const WinogradPlace& place) const {
    for (int i = 0; i < 4; ++i)
      for (int j = 2; j < 4; ++j)
        if (const float* from = operands_.x(term, place, i, j)) prefetch_to_read(from, channels_);
    for (int i = 0; i < place.rows; ++i)
      for (int j = 0; j < place.columns; ++j)
        prefetch_to_read(operands_.dy(term, place, i, j), outputs_);
  }

  __device__ void transform_x(int term, const WinogradPlace& place, float* to) const {
    const float* at[4][4];
    CURVSEG_UNROLL
    for (int i = 0; i < 4; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* from = operands_.x(term, place, i, j);
      at[i][j] = from ? from : kZeros;
    }
    const int plane = x_plane();
    for (int channel = 0; channel < channels_; channel += kRegisterLanes)
      transform_patch<kRegisterLanes>(
          [&](int i, int j) __attribute__((always_inline)) {
            return load_lanes<kRegisterLanes>(at[i][j] + channel, channels_ - channel);
          },
          [&](int i, int j, const Lanes<kRegisterLanes, float>& value)
              __attribute__((always_inline)) {
                store_lanes(to + (4 * i + j) * plane + channel, value, kRegisterLanes);
              });
  }

  __device__ void transform_dy(int term, const WinogradPlace& place, float* to) const {
    const float* at[2][2];
    CURVSEG_UNROLL
    for (int i = 0; i < 2; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 2; ++j) {
      const float* from = operands_.dy(term, place, i, j);
      at[i][j] = from ? from : kZeros;
    }
    const int plane = dy_plane();
    for (int output = 0; output < outputs_; output += kRegisterLanes)
      spread_outputs<kRegisterLanes>(
          [&](int i, int j) __attribute__((always_inline)) {
            return load_lanes<kRegisterLanes>(at[i][j] + output, outputs_ - output);
          },
          [&](int i, int j, const Lanes<kRegisterLanes, float>& value)
              __attribute__((always_inline)) {
                store_lanes(to + (4 * i + j) * plane + output, value, kRegisterLanes);
              });
  }

  WinogradWeightOperands<Shape> operands_;
  Shared& shared_;
  int channels_, outputs_;  // of the block
  int x_tile_, dy_tile_;    // floats from a tile to the next
};

// ---- staged ------------------------------------------------------------------------------------

template <class Shape>
class StagedWinogradWeightLoader {
  static constexpr WinogradWeightTile kTile = Shape::kTile;
  using Tile = WinogradWeightBlockTile<Shape>;
  static_assert(kTile.tiles * kTile.channels == kTile.threads &&
                    kTile.tiles * kTile.outputs == kTile.threads,
                "a tile of x and one of dy for every thread");
  using Value = Lanes<kRegisterLanes, float>;  // one

 public:
  struct Shared {
    alignas(16) float x[kWinogradPlanes][kTile.tiles * kTile.channels];
    alignas(16) float dy[kWinogradPlanes][kTile.tiles * kTile.outputs];
  };

  __device__ StagedWinogradWeightLoader(const Conv2dWeightGradient& p, const WinogradSides& sides,
                                        const WinogradWeightRange& range, Shared& shared)
      : operands_{p, sides, range}, shared_(shared), cursor_(sides.cursor(range.first_tile)) {}

  __device__ WinogradWeightStep begin() const { return operands_.begin(); }
  __device__ bool valid(const WinogradWeightStep& step) const { return operands_.valid(step); }
  __device__ WinogradWeightStep next(const WinogradWeightStep& step) const {
    return operands_.next(step);
  }

  __device__ void acquire(const WinogradWeightStep& step) {
    if (step.term == 0 && step.tile == operands_.range.first_tile) fetch(step);
    float* x = shared_.x[0] + block_begin();
    float* dy = shared_.dy[0] + block_begin();
    transform_patch<kRegisterLanes>([&](int i, int j) { return x_[i][j]; },
                                    [&](int i, int j, const Value& value) {
                                      store_lanes(x + (4 * i + j) * kTile.threads, value, 1);
                                    });
    spread_outputs<kRegisterLanes>([&](int i, int j) { return dy_[i][j]; },
                                   [&](int i, int j, const Value& value) {
                                     store_lanes(dy + (4 * i + j) * kTile.threads, value, 1);
                                   });
    const WinogradWeightStep following = next(step);
    if (valid(following)) fetch(following);
    __syncthreads();
  }

  __device__ void multiply(const WinogradWeightStep&, int t, typename Tile::Storage& accumulator) {
    const int plane = t / Tile::kMicrotiles;
    Tile::template multiply_outer<kTile.channels, kTile.tiles>(accumulator, t % Tile::kMicrotiles,
                                                               shared_.x[plane], shared_.dy[plane]);
  }

  __device__ void release() { __syncthreads(); }

 private:
  /// Lanes of a warp run along channels: adjacent addresses, whole sectors.
  __device__ void fetch(const WinogradWeightStep& step) {
    const int tile = block_begin() / kTile.channels, lane = block_begin() % kTile.channels;
    const WinogradWeightRange& range = operands_.range;
    if (step.tile == range.first_tile) cursor_ = operands_.sides.cursor(step.tile + tile);
    const bool exists = tile < step.tiles;
    const WinogradPlace place =
        exists ? operands_.sides.place(cursor_) : WinogradPlace{-1, 0, 0, 0, 0, 0};
    if (exists) cursor_.advance(kTile.tiles);
    const bool has_x = range.first_channel + lane < operands_.p.problem.c;
    const bool has_dy = range.first_output + lane < operands_.p.problem.k;
    CURVSEG_UNROLL
    for (int i = 0; i < 4; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* from = has_x ? operands_.x(step.term, place, i, j) : nullptr;
      x_[i][j] = fill_lanes<kRegisterLanes>(from ? from[lane] : 0.0f);
    }
    CURVSEG_UNROLL
    for (int i = 0; i < 2; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 2; ++j) {
      const float* from = has_dy ? operands_.dy(step.term, place, i, j) : nullptr;
      dy_[i][j] = fill_lanes<kRegisterLanes>(from ? from[lane] : 0.0f);
    }
  }

  WinogradWeightOperands<Shape> operands_;
  Shared& shared_;
  PixelCursor cursor_;  // of this thread's next tile
  Value x_[4][4], dy_[2][2];
};

}  // namespace curvseg::CURVSEG_TARGET
