// The sums of the 16 products of a block, one tile of accumulators each. Policies with one
// interface:
//
//   StagedWinogradProducts   a microtile in the registers of each thread, in shared memory when
//                            complete (GPU block shapes)
//   CachedWinogradProducts   the block's shared struct from the beginning, in the first-level cache
//                            as far as it is at work on it; `kSlots` of all (host)
//
//   clear()                             begins all sums; a host's multiply can do so itself
//   at(slot, t)                         the accumulators of microtile t of all 16 products
//   publish()                           every thread can read them when it returns
//   lanes(slot, plane, row, column)     kLanes adjacent columns of product `plane`
#pragma once

#include "conv2d/winograd_tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Tile, int kSlots>
class CachedWinogradProducts {
  static constexpr int kColumns = Tile::kGroupColumns;

 public:
  struct Shared {
    alignas(64) typename Tile::Storage microtile[kSlots][kWinogradPlanes * Tile::kMicrotiles];
  };
  static constexpr int kLanes = kRegisterLanes;

  __device__ explicit CachedWinogradProducts(Shared& shared) : shared_(shared) {}
  __device__ void clear() {
    for (auto& slot : shared_.microtile)
      for (auto& microtile : slot) Tile::clear(microtile);
  }
  __device__ __forceinline__ typename Tile::Storage& at(int slot, int t) {
    return shared_.microtile[slot][t];
  }
  __device__ void publish() {}
  __device__ __forceinline__ Lanes<kLanes, float> lanes(int slot, int plane, int row,
                                                        int column) const {
    const auto& microtile =
        shared_.microtile[slot][plane * Tile::kMicrotiles + row / Tile::kRows * Tile::kAcross +
                                column / kColumns];
    return load_lanes<kLanes>(microtile + row % Tile::kRows * kColumns + column % kColumns, kLanes);
  }

 private:
  Shared& shared_;
};

template <class Tile, int kSlots>
class StagedWinogradProducts {
  static_assert(kSlots == 1, "a GPU block has its columns in one pass");
  static constexpr int kColumns = Tile::kAcross * kTileColumns;
  static constexpr int kRows = Tile::kMicrotiles / Tile::kAcross * Tile::kRows;

 public:
  struct Shared {
    alignas(16) float product[kWinogradPlanes][kRows * kColumns];
  };
  static constexpr int kLanes = kWideLanes;

  __device__ explicit StagedWinogradProducts(Shared& shared)
      : shared_(shared), accumulators_(none_) {}
  __device__ void clear() { accumulators_.clear(0); }
  __device__ __forceinline__ typename Tile::Storage& at(int, int) { return accumulators_.at(0); }
  // Rows of a warp lie eight apart, so that two meet in a bank: once a block.
  __device__ void publish() {
    const int t = block_begin() % Tile::kMicrotiles;
    float* product = shared_.product[block_begin() / Tile::kMicrotiles];
    CURVSEG_UNROLL
    for (int i = 0; i < Tile::kRows; ++i) CURVSEG_UNROLL
    for (int g = 0; g < Tile::kGroups; ++g)
      store_lanes(product + Tile::row(t, i) * kColumns + Tile::column(t, g),
                  group_lanes<Tile>(accumulators_.at(0), i, g), Tile::kGroupColumns);
    __syncthreads();
  }
  __device__ __forceinline__ Lanes<kLanes, float> lanes(int, int plane, int row, int column) const {
    return load_lanes<kLanes>(shared_.product[plane] + row * kColumns + column, kLanes);
  }

 private:
  Shared& shared_;
  typename Accumulators<Tile>::Shared none_;
  Accumulators<Tile> accumulators_;
};

template <class Tile, int kSlots>
using WinogradProducts = std::conditional_t<kStagedOperands, StagedWinogradProducts<Tile, kSlots>,
                                            CachedWinogradProducts<Tile, kSlots>>;

/// A GPU's products take the place of the operands that they are made of.
template <class Operands, class Products>
union SameMemory {
  Operands operands;
  Products products;
};
template <class Operands, class Products>
struct OwnMemory {
  Operands operands;
  Products products;
};
template <class Operands, class Products>
using WinogradMemory = std::conditional_t<kStagedOperands, SameMemory<Operands, Products>,
                                          OwnMemory<Operands, Products>>;

}  // namespace curvseg::CURVSEG_TARGET
