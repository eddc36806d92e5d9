// The matrix atom of the GPU block shapes: FFMA on 8x8 accumulators a thread, operands in shared
// memory. Used by the cuda target and, unchanged, by the emulated one.
#pragma once

#include <cstdint>

namespace curvseg::CURVSEG_TARGET {

inline constexpr bool kStagedOperands = true;  // operands are copied to shared memory first
inline constexpr int kWarpSize = 32;
inline constexpr int kTileRows = 8;
inline constexpr int kTileColumns = 8;
inline constexpr bool kSlimTiles = false;  // a host's way to use all of a vector
inline constexpr bool kLines = false;      // likewise, for short sums
inline constexpr int kSlimTileRows = kTileRows, kSlimOuterRows = kTileRows;
inline constexpr int kSlimTileColumns = kTileColumns;
inline constexpr int kWindowRows = kTileRows, kSlimWindowRows = kTileRows;
inline constexpr bool kWideWindows = false, kOuterWindows = false;
inline constexpr int kOuterWindowRows = kTileRows, kSlimOuterWindowRows = kTileRows;

struct alignas(16) Float4 {
  float at[4];
};

/// A block tile of `BlockRows` x `BlockColumns` accumulators, one 8x8 microtile a thread. A
/// thread's columns are two runs of four, half a block tile apart: neighbouring lanes then read
/// neighbouring 16 bytes of b, and no two lanes of a phase meet in a bank.
///
///   multiply_rows :  acc[i][j] += Σ_l a[row(i)][l] · b[l][column(j)]
///   multiply_outer:  acc[i][j] += Σ_l a[l][row(i)] · b[l][column(j)]
template <int BlockRows, int BlockColumns, int Rows = kTileRows, int Columns = kTileColumns>
struct BlockTile {
  static_assert(Rows == kTileRows && Columns == kTileColumns, "a thread has one kind of microtile");
  static_assert(BlockRows % 16 == 0 && BlockColumns % 8 == 0,
                "a block tile is made of whole microtiles");
  using Storage = float[kTileRows][kTileColumns];
  static constexpr int kRows = kTileRows;
  static constexpr int kGroups = 2;  // of adjacent columns
  static constexpr int kGroupColumns = 4;
  static constexpr int kAcross = BlockColumns / kTileColumns;
  static constexpr int kMicrotiles = BlockRows / kTileRows * kAcross;

  static constexpr __device__ int row(int microtile, int i) {
    return microtile / kAcross * kTileRows + i;
  }
  static constexpr __device__ int column(int microtile, int group) {
    return microtile % kAcross * kGroupColumns + group * (BlockColumns / 2);
  }

  template <int LdA, int Length>
  static __device__ __forceinline__ void multiply_rows(Storage& acc, int microtile, const float* a,
                                                       const float* b) {
    static_assert(Length % 4 == 0 && LdA % 4 == 0, "rows of a are read 16 bytes at a time");
    CURVSEG_UNROLL
    for (int l = 0; l < Length; l += 4) {
      Float4 x[kTileRows];
      CURVSEG_UNROLL
      for (int i = 0; i < kTileRows; ++i)
        x[i] = *reinterpret_cast<const Float4*>(a + row(microtile, i) * LdA + l);
      CURVSEG_UNROLL
      for (int d = 0; d < 4; ++d) {
        const Float4 y0 =
            *reinterpret_cast<const Float4*>(b + (l + d) * BlockColumns + column(microtile, 0));
        const Float4 y1 =
            *reinterpret_cast<const Float4*>(b + (l + d) * BlockColumns + column(microtile, 1));
        CURVSEG_UNROLL
        for (int i = 0; i < kTileRows; ++i) CURVSEG_UNROLL
        for (int j = 0; j < 4; ++j) {
          acc[i][j] = fma(x[i].at[d], y0.at[j], acc[i][j]);
          acc[i][4 + j] = fma(x[i].at[d], y1.at[j], acc[i][4 + j]);
        }
      }
    }
  }

  template <int LdA, int Length>
  static __device__ __forceinline__ void multiply_outer(Storage& acc, int microtile, const float* a,
                                                        const float* b) {
    CURVSEG_UNROLL
    for (int l = 0; l < Length; ++l) {
      const Float4 x0 = *reinterpret_cast<const Float4*>(a + l * LdA + row(microtile, 0));
      const Float4 x1 = *reinterpret_cast<const Float4*>(a + l * LdA + row(microtile, 4));
      const Float4 y0 =
          *reinterpret_cast<const Float4*>(b + l * BlockColumns + column(microtile, 0));
      const Float4 y1 =
          *reinterpret_cast<const Float4*>(b + l * BlockColumns + column(microtile, 1));
      CURVSEG_UNROLL
      for (int i = 0; i < 4; ++i) CURVSEG_UNROLL
      for (int j = 0; j < 4; ++j) {
        acc[i][j] = fma(x0.at[i], y0.at[j], acc[i][j]);
        acc[i][4 + j] = fma(x0.at[i], y1.at[j], acc[i][4 + j]);
        acc[4 + i][j] = fma(x1.at[i], y0.at[j], acc[4 + i][j]);
        acc[4 + i][4 + j] = fma(x1.at[i], y1.at[j], acc[4 + i][4 + j]);
      }
    }
  }
};

/// The accumulators of a thread: one microtile, in its registers.
template <class Tile, int Count = 1>
class Accumulators {
  static_assert(Count == 1, "a GPU block owns one block tile: more would not fit its registers");

 public:
  struct Shared {};
  __device__ explicit Accumulators(Shared&) {}
  __device__ __forceinline__ void clear(int, int = 1) {
    CURVSEG_UNROLL
    for (int i = 0; i < Tile::kRows; ++i) CURVSEG_UNROLL
    for (int j = 0; j < kTileColumns; ++j) tile_[i][j] = 0.0f;
  }
  __device__ __forceinline__ typename Tile::Storage& at(int, int = 0) { return tile_; }

 private:
  typename Tile::Storage tile_;
};

}  // namespace curvseg::CURVSEG_TARGET
