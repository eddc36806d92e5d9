// Where the 16 products of conv2d_winograd.hpp find their operands. Policies with one interface:
//
//   StagedWinogradLoader    each thread transforms the patch of one tile and channel into shared
//                           memory; the next step's patch is in its registers and the next step's
//                           panel on its way while this one is multiplied (GPU block shapes)
//   CachedWinogradLoader    all patches of a block into its shared struct, vectors of channels at a
//                           time; panels are read where they are (host)
//
//   begin() valid(step) next(step)   walk the reduction: terms, source channels
//   acquire(step)                    operands ready for every thread when it returns
//   multiply(step, pass, t, accumulator, begins)
//                                    microtile t of the 16 products += rows x columns, or = if the
//                                    sum begins (a host's; those of a GPU are cleared before)
//   release()                        every thread is done with them
#pragma once

#include <type_traits>

#include "conv2d/pack_filter.hpp"
#include "conv2d/winograd_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

/// A part of the reduction: channels [channel, channel + channels) of a term.
struct WinogradStep {
  int term, channel, channels, buffer;
};

/// What both loaders know about the problem.
template <class Shape>
struct WinogradOperands {
  static constexpr WinogradTile kTile = Shape::kTile;

  __device__ WinogradOperands(const Conv2dGather& gather, const WinogradSides& all)
      : p(gather),
        sides(all),
        term_floats(panel_floats(kWinogradPlanes, all.channels, all.outputs, kTile.panel)) {}

  __device__ WinogradStep begin() const { return sized({0, 0, 0, 0}); }
  __device__ bool valid(const WinogradStep& step) const { return step.term < p.terms; }
  __device__ WinogradStep next(WinogradStep step) const {
    step.buffer ^= 1;
    step.channel += kTile.reduction;
    if (step.channel < sides.channels) return sized(step);
    step.channel = 0;
    ++step.term;
    return sized(step);
  }
  /// Of product `plane`, from the step's first channel on.
  __device__ const float* panel(const WinogradStep& step, int index, int plane) const {
    return p.workspace + step.term * term_floats +
           ((static_cast<std::int64_t>(index) * kWinogradPlanes + plane) * sides.channels +
            step.channel) *
               kTile.panel;
  }
  /// Channel `channel` of pixel (i, j) of a patch; nullptr outside the image.
  __device__ const float* source(const WinogradStep& step, const WinogradPlace& place, int i, int j,
                                 int channel) const {
    const Conv2dGatherTerm& term = p.term[step.term];
    const std::int64_t pixel = sides.patch_pixel(place, i, j);
    return pixel < 0 ? nullptr : term.source + pixel * term.ld + channel;
  }

  const Conv2dGather& p;
  const WinogradSides& sides;
  std::int64_t term_floats;

 private:
  __device__ WinogradStep sized(WinogradStep step) const {
    step.channels = min_of(sides.channels - step.channel, kTile.reduction);
    return step;
  }
};

// ---- cached ------------------------------------------------------------------------------------

template <class Shape>
class CachedWinogradLoader {
  static constexpr WinogradTile kTile = Shape::kTile;
  using Tile = WinogradBlockTile<Shape>;
  using Places = WinogradPlaces<kTile.tiles>;
  static constexpr int kLine = kLineFloats;
  static_assert(kTile.reduction % kLine == 0, "whole lines");
  static constexpr float kZeros[kTile.reduction] = {};  // what a pixel outside the image reads

 public:
  struct Shared {
    alignas(64) float patches[kWinogradPlanes * (kTile.tiles * kTile.reduction + kLine)];
  };

  __device__ CachedWinogradLoader(const Conv2dGather& p, const WinogradSides& sides,
                                  int first_channel, const Places& places, Shared& shared)
      : operands_(p, sides),
        first_panel_(first_channel / kTile.panel),
        places_(places),
        shared_(shared) {}

  __device__ WinogradStep begin() const { return operands_.begin(); }
  __device__ bool valid(const WinogradStep& step) const { return operands_.valid(step); }
  __device__ WinogradStep next(const WinogradStep& step) const { return operands_.next(step); }

  __device__ void acquire(const WinogradStep& step) {
    // A tile's channels fill whole lines; a plane is a line more than that, so that the 16 stores
    // of a patch do not meet in one set of the cache.
    row_ = static_cast<int>(divide_up(step.channels, kLine)) * kLine;
    plane_ = kTile.tiles * row_ + kLine;
    for (int tile = 0; tile < kTile.tiles; ++tile) {
      const WinogradPlace& place = places_.at(tile);
      if (place.rows == 0 && tile % Tile::kRows == 0) return;  // nor do the others exist
      if (tile + 1 < kTile.tiles) prefetch_patch(step, places_.at(tile + 1));
      transform(step, place, shared_.patches + tile * row_);
    }
  }

  __device__ void multiply(const WinogradStep& step, int pass, int t,
                           typename Tile::Storage& accumulator, bool begins) {
    const int plane = t / Tile::kMicrotiles, first = t % Tile::kMicrotiles * Tile::kRows;
    if (places_.at(first).rows == 0) return;
    const float* panel = operands_.panel(step, first_panel_ + pass, plane);
    prefetch_next(panel, step.channels, t % Tile::kMicrotiles);
    Tile::multiply_line(accumulator, 0, shared_.patches + plane * plane_ + first * row_,
                        {Tile::kRows, row_, 1, 0, 0, step.channels}, panel, begins);
  }

  __device__ void release() {}

 private:
  /// A microtile's share of the panel that comes next. Caches prefetch along a page by themselves,
  /// but panels are about a page each.
  __device__ void prefetch_next(const float* panel, int channels, int share) const {
    constexpr int kShares = Tile::kMicrotiles;
    const int floats = static_cast<int>(divide_up(channels, kShares)) * kTile.panel;
    const std::int64_t next = static_cast<std::int64_t>(operands_.sides.channels) * kTile.panel;
    prefetch_to_read(displaced(panel, next + share * floats), floats);
  }

  /// What a tile reads and the one before it in its line does not.
  __device__ void prefetch_patch(const WinogradStep& step, const WinogradPlace& place) const {
    for (int i = 0; i < 4; ++i)
      for (int j = 2; j < 4; ++j)
        if (const float* from = operands_.source(step, place, i, j, step.channel))
          prefetch_to_read(from, step.channels);
  }

  __device__ void transform(const WinogradStep& step, const WinogradPlace& place, float* to) const {
    const float* at[4][4];
    CURVSEG_UNROLL
    for (int i = 0; i < 4; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* from = operands_.source(step, place, i, j, step.channel);
      at[i][j] = from ? from : kZeros;
    }
    int channel = 0;
    for (; channel + kRegisterLanes <= step.channels; channel += kRegisterLanes)
      transform_lanes(at, channel, std::integral_constant<int, kRegisterLanes>(), to);
    if (channel < step.channels) transform_lanes(at, channel, step.channels - channel, to);
  }

  template <class Count>
  __device__ __forceinline__ void transform_lanes(const float* const (&at)[4][4], int channel,
                                                  Count count, float* to) const {
    transform_patch<kRegisterLanes>(
        [&](int i, int j) __attribute__((always_inline)) {
          return load_lanes<kRegisterLanes>(at[i][j] + channel, count);
        },
        [&](int i, int j, const Lanes<kRegisterLanes, float>& value)
            __attribute__((always_inline)) {
              store_lanes(to + (4 * i + j) * plane_ + channel, value, kRegisterLanes);
            });
  }

  WinogradOperands<Shape> operands_;
  int first_panel_;
  const Places& places_;
  Shared& shared_;
  int row_ = 0, plane_ = 0;  // floats from a tile, a product to the next
};

// ---- staged ------------------------------------------------------------------------------------

template <class Shape>
class StagedWinogradLoader {
  static constexpr WinogradTile kTile = Shape::kTile;
  using Tile = WinogradBlockTile<Shape>;
  using Places = WinogradPlaces<kTile.tiles>;
  static_assert(kTile.tiles * kTile.reduction == kTile.threads, "a patch for every thread");
  // Eight lanes store one tile's channels, the next eight the next tile's: 4 floats of padding put
  // the 32 of them into different banks, and leave rows 16-byte aligned.
  static constexpr int kRow = kTile.tiles + 4;
  using Patch = Lanes<kRegisterLanes, float>;  // of one

 public:
  struct Shared {
    alignas(16) float patches[kWinogradPlanes][kTile.reduction * kRow];
    alignas(16) float panels[2][kWinogradPlanes][kTile.reduction * kTile.panel];
  };

  __device__ StagedWinogradLoader(const Conv2dGather& p, const WinogradSides& sides,
                                  int first_channel, const Places& places, Shared& shared)
      : operands_(p, sides),
        panel_(first_channel / kTile.panel),
        places_(places),
        shared_(shared) {}

  __device__ WinogradStep begin() const { return operands_.begin(); }
  __device__ bool valid(const WinogradStep& step) const { return operands_.valid(step); }
  __device__ WinogradStep next(const WinogradStep& step) const { return operands_.next(step); }

  __device__ void acquire(const WinogradStep& step) {
    if (step.term == 0 && step.channel == 0) {
      fetch(step);
      copy(step);
    }
    float* to = shared_.patches[0] + block_begin() % kTile.reduction * kRow +
                block_begin() / kTile.reduction;
    constexpr int kPlane = kTile.reduction * kRow;
    transform_patch<kRegisterLanes>([&](int i, int j) { return patch_[i][j]; },
                                    [&](int i, int j, const Patch& value) {
                                      store_lanes(to + (4 * i + j) * kPlane, value, kRegisterLanes);
                                    });
    const WinogradStep following = next(step);
    if (valid(following)) {
      fetch(following);
      copy(following);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
  }

  __device__ void multiply(const WinogradStep& step, int /*pass: one*/, int t,
                           typename Tile::Storage& accumulator, bool /*begins*/) {
    const int plane = t / Tile::kMicrotiles;
    Tile::template multiply_outer<kRow, kTile.reduction>(accumulator, t % Tile::kMicrotiles,
                                                         shared_.patches[plane],
                                                         shared_.panels[step.buffer][plane]);
  }

  __device__ void release() { __syncthreads(); }

 private:
  /// Lanes of a warp run along channels: adjacent addresses, whole sectors.
  __device__ void fetch(const WinogradStep& step) {
    const int lane = block_begin() % kTile.reduction;
    const WinogradPlace place = places_.at(block_begin() / kTile.reduction);
    CURVSEG_UNROLL
    for (int i = 0; i < 4; ++i) CURVSEG_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* from =
          lane < step.channels ? operands_.source(step, place, i, j, step.channel + lane) : nullptr;
      patch_[i][j] = fill_lanes<kRegisterLanes>(from ? *from : 0.0f);
    }
  }

  __device__ void copy(const WinogradStep& step) {
    constexpr int kVectors = kTile.reduction * kTile.panel / 4;  // of one product
    for (int e = block_begin(); e < kWinogradPlanes * kVectors; e += block_step()) {
      const int at = e % kVectors * 4;
      const bool valid = at / kTile.panel < step.channels;
      const float* from = operands_.panel(step, panel_, e / kVectors);
      copy_async<4>(shared_.panels[step.buffer][e / kVectors] + at, valid ? from + at : from,
                    valid);
    }
    commit_copies();
  }

  WinogradOperands<Shape> operands_;
  int panel_;
  const Places& places_;
  Shared& shared_;
  Patch patch_[4][4];
};

}  // namespace curvseg::CURVSEG_TARGET
