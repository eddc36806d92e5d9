// Minimal filtering F(2x2, 3x3): four outputs of nine products each by sixteen multiplications.
//
//   Y = Aᵀ [ Σ_c (G g_c Gᵀ) ⊙ (Bᵀ d_c B) ] A        Y 2x2, g 3x3, d 4x4
//
//   Bᵀ = 1  0 −1  0     G = 1    0   0      Aᵀ = 1 1  1  0
//        0  1  1  0         1/2  1/2 1/2         0 1 −1 −1
//        0 −1  1  0         1/2 −1/2 1/2
//        0  1  0 −1         0    0   1
//
// Source: Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms
// for Convolutional Neural Networks (CVPR 2016), equations 6 to 8 and figure 3. What it costs in
// accuracy: docs/design/0003-winograd.md.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/pixel_cursor.hpp"
#include "exec/lanes.hpp"

namespace curvseg::CURVSEG_TARGET {

inline constexpr int kWinogradPlanes = 16;  // elements of a transformed tile

/// A block's share: `tiles` x `channels` tiles of 2x2 outputs.
struct WinogradTile {
  int tiles;      // rows of the block tile, of each of the 16 products
  int channels;   // output channels of a block
  int panel;      // of a pass over them: what one microtile (host) or block (GPU) reads
  int reduction;  // source channels of a step, transformed before they are multiplied
  int threads;
};
// GPU: 16 threads hold the 8x8 accumulators of one product, 256 all of them, and each transforms
// the patch of one tile and channel: 8 channels are 32 tiles x 8 patches for 256 threads. Operands
// are 50 KiB, products 64 KiB in the same memory: two blocks fit a multiprocessor of sm_80, which
// registers bound before.
// Host: four microtiles of tiles, so that a panel of one transformed filter element (4 KiB at 64
// channels) is read from second-level cache once for four multiplications; 64 channels of all
// transformed tiles are 98 KiB there.
struct WideWinogradTile {
  static constexpr WinogradTile kTile =
      kStagedOperands ? WinogradTile{32, 32, 32, 8, 256}
                      : WinogradTile{4 * kTileRows, 4 * kTileColumns, kTileColumns, 64, 1};
};

/// The tile of one product in one pass.
template <class Shape>
using WinogradBlockTile = BlockTile<Shape::kTile.tiles, Shape::kTile.panel>;

/// Where a tile is written, `rows` x `columns` outputs from pixel `out` on (none beyond the last
/// tile), and where its patch begins, inside the image or not.
struct WinogradPlace {
  std::int64_t out;
  int rows, columns;
  int image, row, column;
};

/// The problem in tiles.
struct WinogradSides {
  __host__ __device__ WinogradSides(const Conv2dProblem& c, Conv2dDirection direction) {
    const bool forward = direction == Conv2dDirection::kForward;
    channels = forward ? c.c : c.k;
    outputs = forward ? c.k : c.c;
    images = c.n;
    rows = gather_axis(direction, 0, c.h, c.p, 3, 1, c.pad_h, 1);
    columns = gather_axis(direction, 0, c.w, c.q, 3, 1, c.pad_w, 1);
    tile_rows = (rows.outputs + 1) / 2;
    tile_columns = (columns.outputs + 1) / 2;
  }
  __host__ __device__ std::int64_t tiles() const {
    return static_cast<std::int64_t>(images) * tile_rows * tile_columns;
  }
  __device__ PixelCursor cursor(std::int64_t tile) const {
    return {tile, images, tile_rows, tile_columns};
  }
  __device__ WinogradPlace place(const PixelCursor& tile) const {
    if (!tile.valid()) return {-1, 0, 0, 0, 0, 0};
    const int row = 2 * tile.row(), column = 2 * tile.column();
    return {
        (static_cast<std::int64_t>(tile.image()) * rows.outputs + row) * columns.outputs + column,
        min_of(rows.outputs - row, 2),
        min_of(columns.outputs - column, 2),
        tile.image(),
        row + rows.source_offset,
        column + columns.source_offset};
  }
  /// The index of pixel (i, j) of a tile's patch in the source, -1 if there is none.
  __device__ std::int64_t patch_pixel(const WinogradPlace& place, int i, int j) const {
    const int row = place.row + i, column = place.column + j;
    if (place.rows == 0 || row < 0 || row >= rows.source_extent || column < 0 ||
        column >= columns.source_extent)
      return -1;
    return (static_cast<std::int64_t>(place.image) * rows.source_extent + row) *
               columns.source_extent +
           column;
  }

  int channels, outputs, images;
  GatherAxis rows, columns;
  int tile_rows, tile_columns;
};

template <int kTiles>
class WinogradPlaces {
 public:
  __device__ void locate(const WinogradSides& sides, std::int64_t first) {
    PixelCursor cursor = sides.cursor(first + block_begin());
    for (int i = block_begin(); i < kTiles; i += block_step(), cursor.advance(block_step()))
      at_[i] = sides.place(cursor);
  }
  __device__ const WinogradPlace& at(int i) const { return at_[i]; }

 private:
  WinogradPlace at_[kTiles];
};

/// Bᵀ d B: load(i, j) gives d, store(i, j, value) takes the result. In an order that needs few
/// registers at a time.
template <int kWidth, class Load, class Store>
__device__ __forceinline__ void transform_patch(const Load& load, const Store& store) {
  using Value = Lanes<kWidth, float>;
  Value second[4], third[4], u[4];
  const auto store_column = [&](int j) __attribute__((always_inline)) {
    store(0, j, u[0] - u[2]);
    store(1, j, u[1] + u[2]);
    store(2, j, u[2] - u[1]);
    store(3, j, u[1] - u[3]);
  };
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) {
    third[i] = load(i, 2);
    u[i] = load(i, 0) - third[i];
  }
  store_column(0);
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) {
    second[i] = load(i, 1);
    u[i] = second[i] + third[i];
  }
  store_column(1);
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) u[i] = third[i] - second[i];
  store_column(2);
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) u[i] = second[i] - load(i, 3);
  store_column(3);
}

/// Aᵀ m A.
template <int kWidth, class Load, class Store>
__device__ __forceinline__ void transform_products(const Load& load, const Store& store) {
  using Value = Lanes<kWidth, float>;
  Value sum[2][4];
  CURVSEG_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Value second = load(1, j), third = load(2, j);
    sum[0][j] = load(0, j) + second + third;
    sum[1][j] = second - third - load(3, j);
  }
  CURVSEG_UNROLL
  for (int i = 0; i < 2; ++i) {
    store(i, 0, sum[i][0] + sum[i][1] + sum[i][2]);
    store(i, 1, sum[i][1] - sum[i][2] - sum[i][3]);
  }
}

/// G g Gᵀ.
template <int kWidth, class Load, class Store>
__device__ __forceinline__ void transform_filter(const Load& load, const Store& store) {
  using Value = Lanes<kWidth, float>;
  Value rows[4][3];
  CURVSEG_UNROLL
  for (int s = 0; s < 3; ++s) {
    const Value first = load(0, s), second = load(1, s), third = load(2, s);
    const Value ends = first + third;
    rows[0][s] = first;
    rows[1][s] = 0.5f * (ends + second);
    rows[2][s] = 0.5f * (ends - second);
    rows[3][s] = third;
  }
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) {
    const Value ends = rows[i][0] + rows[i][2];
    store(i, 0, rows[i][0]);
    store(i, 1, 0.5f * (ends + rows[i][1]));
    store(i, 2, 0.5f * (ends - rows[i][1]));
    store(i, 3, rows[i][2]);
  }
}

/// A y Aᵀ: the adjoint of transform_products().
template <int kWidth, class Load, class Store>
__device__ __forceinline__ void spread_outputs(const Load& load, const Store& store) {
  using Value = Lanes<kWidth, float>;
  const Value zero = fill_lanes<kWidth>(0.0f);
  Value rows[4][2];
  CURVSEG_UNROLL
  for (int j = 0; j < 2; ++j) {
    const Value first = load(0, j), second = load(1, j);
    rows[0][j] = first;
    rows[1][j] = first + second;
    rows[2][j] = first - second;
    rows[3][j] = zero - second;
  }
  CURVSEG_UNROLL
  for (int i = 0; i < 4; ++i) {
    store(i, 0, rows[i][0]);
    store(i, 1, rows[i][0] + rows[i][1]);
    store(i, 2, rows[i][0] - rows[i][1]);
    store(i, 3, zero - rows[i][1]);
  }
}

/// Gᵀ m G: the adjoint of transform_filter().
template <int kWidth, class Load, class Store>
__device__ __forceinline__ void gather_filter(const Load& load, const Store& store) {
  using Value = Lanes<kWidth, float>;
  Value rows[3][4];
  CURVSEG_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Value second = load(1, j), third = load(2, j);
    const Value ends = 0.5f * (second + third);
    rows[0][j] = load(0, j) + ends;
    rows[1][j] = 0.5f * (second - third);
    rows[2][j] = ends + load(3, j);
  }
  CURVSEG_UNROLL
  for (int r = 0; r < 3; ++r) {
    const Value ends = 0.5f * (rows[r][1] + rows[r][2]);
    store(r, 0, rows[r][0] + ends);
    store(r, 1, 0.5f * (rows[r][1] - rows[r][2]));
    store(r, 2, ends + rows[r][3]);
  }
}

}  // namespace curvseg::CURVSEG_TARGET
