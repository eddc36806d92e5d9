// 3x3 convolution with stride and dilation 1, forward and data gradient, over one or two terms, by
// the minimal filtering of winograd_tiles.hpp:
//
//   out[2x2 tile, o] = epilogue( Aᵀ [ Σ_t Σ_i V_t[tile, i] ⊙ U_t[i, o] ] A )
//
// V the transformed patches of the source, U the transformed filter (winograd_filter.hpp): sixteen
// matrix products over i. Overwrites `out`, or adds to it when the epilogue says so. Patches are
// transformed and products summed up within a block: neither is ever in global memory.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/epilogue.hpp"
#include "conv2d/winograd_filter.hpp"
#include "conv2d/winograd_loaders.hpp"
#include "conv2d/winograd_products.hpp"
#include "conv2d/winograd_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
using WinogradLoader =
    std::conditional_t<kStagedOperands, StagedWinogradLoader<Shape>, CachedWinogradLoader<Shape>>;
template <class Shape>
inline constexpr int kWinogradPasses = Shape::kTile.channels / Shape::kTile.panel;
template <class Shape>
using GatherProducts = WinogradProducts<WinogradBlockTile<Shape>, kWinogradPasses<Shape>>;

template <class Shape>
struct WinogradShared {
  WinogradPlaces<Shape::kTile.tiles> places;
  WinogradMemory<typename WinogradLoader<Shape>::Shared, typename GatherProducts<Shape>::Shared>
      memory;
};

/// Writes what one pass computed: kTile.panel channels from `first_channel` on.
template <class Shape>
__device__ __forceinline__ void store_winograd(const Conv2dGather& p, int outputs,
                                               const WinogradPlaces<Shape::kTile.tiles>& places,
                                               const GatherProducts<Shape>& products, int slot,
                                               int first_channel) {
  constexpr WinogradTile kTile = Shape::kTile;
  constexpr int kWidth = GatherProducts<Shape>::kLanes;
  constexpr int kAcross = kTile.panel / kWidth;
  const int columns = p.direction == Conv2dDirection::kForward ? p.problem.q : p.problem.w;
  for (int e = block_begin(); e < kTile.tiles * kAcross; e += block_step()) {
    const int tile = e / kAcross, column = e % kAcross * kWidth;
    const WinogradPlace& place = places.at(tile);
    const int channel = first_channel + column;
    const int count = min_of(outputs - channel, kWidth);
    if (place.rows == 0 || count <= 0) continue;
    transform_products<kWidth>(
        [&](int i, int j) __attribute__((always_inline)) {
          return products.lanes(slot, 4 * i + j, tile, column);
        },
        [&](int i, int j, const Lanes<kWidth, float>& value) __attribute__((always_inline)) {
          if (i >= place.rows || j >= place.columns) return;
          const std::int64_t pixel = place.out + i * columns + j;
          if (count == kWidth)
            finish_group(p, pixel, channel, value, kWidth);
          else
            finish_group(p, pixel, channel, value, count);
        });
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kTile.threads) conv2d_winograd_kernel(Conv2dGather p) {
  constexpr WinogradTile kTile = Shape::kTile;
  constexpr int kMicrotiles = kWinogradPlanes * WinogradBlockTile<Shape>::kMicrotiles;
  const WinogradSides sides(p.problem, p.direction);
  const unsigned channel_blocks = static_cast<unsigned>(divide_up(sides.outputs, kTile.channels));
  const std::int64_t first_tile =
      static_cast<std::int64_t>(blockIdx.x / channel_blocks) * kTile.tiles;
  const int first_channel = static_cast<int>(blockIdx.x % channel_blocks) * kTile.channels;

  auto& shared = block_shared<WinogradShared<Shape>>();
  shared.places.locate(sides, first_tile);
  GatherProducts<Shape> products(shared.memory.products);
  WinogradLoader<Shape> loader(p, sides, first_channel, shared.places, shared.memory.operands);
  if (kStagedOperands) products.clear();
  __syncthreads();

  // A thread that has all microtiles writes a pass right after its last step, while its products
  // are in the first-level cache. With one step, as most often, all passes use the memory of one.
  bool first = true;
  for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
    loader.acquire(step);
    const bool last = !kStagedOperands && !loader.valid(loader.next(step));
    for (int pass = 0; pass < kWinogradPasses<Shape>; ++pass) {
      const int channel = first_channel + pass * kTile.panel;
      if (channel >= sides.outputs) break;
      const int slot = first && last ? 0 : pass;
      for (int t = block_begin(); t < kMicrotiles; t += block_step())
        loader.multiply(step, pass, t, products.at(slot, t), first);
      if (last) store_winograd<Shape>(p, sides.outputs, shared.places, products, slot, channel);
    }
    first = false;
    loader.release();
  }
  if (!kStagedOperands) return;
  products.publish();
  store_winograd<Shape>(p, sides.outputs, shared.places, products, 0, first_channel);
}

}  // namespace curvseg::CURVSEG_TARGET
