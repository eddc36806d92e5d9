// to[b, j, i] = from[b, i, j]. Overwrites `to`.
//
// On a GPU through a tile in shared memory, so that both sides are read and written along rows:
// without it one of them would touch a whole sector for every float. On the host a tile of both
// sides lies in the first-level cache anyway.
#include "exec/exec.hpp"
#include "transpose/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

constexpr int kTile = 32;     // floats of a row of the tile: a warp, 128 bytes
constexpr int kTileRows = 8;  // of it that a block copies at a time: 256 threads
constexpr int kThreads = kStagedOperands ? kTile * kTileRows : 1;

struct Shared {
  float tile[kTile][kTile + 1];  // one more column: a column of it lies in 32 different banks
};

struct Tile {
  std::int64_t base;  // of the matrix
  int row, column;    // of the tile
};

__device__ __forceinline__ Tile tile_of(const Transpose& p, std::int64_t index) {
  const std::int64_t across = divide_up(p.columns, kTile), down = divide_up(p.rows, kTile);
  const std::int64_t in_matrix = index % (across * down);
  return {index / (across * down) * p.rows * p.columns,
          static_cast<int>(in_matrix / across) * kTile,
          static_cast<int>(in_matrix % across) * kTile};
}

/// What of a tile is inside the matrix: small matrices fill little of one.
[[maybe_unused]] __device__ __forceinline__ void copy_in_place(const Transpose& p, const Tile& at) {
  const std::int64_t rows = p.rows, columns = p.columns;
  const float* __restrict__ from = p.from + at.base + at.row * columns + at.column;
  float* __restrict__ to = p.to + at.base + at.column * rows + at.row;
  const int down = min_of(kTile, p.rows - at.row), across = min_of(kTile, p.columns - at.column);
  for (int c = 0; c < across; ++c)
    for (int r = 0; r < down; ++r) to[c * rows + r] = from[r * columns + c];
}

[[maybe_unused]] __device__ __forceinline__ void copy_staged(const Transpose& p, const Tile& at,
                                                             Shared& s) {
  for (int i = block_begin(); i < kTile * kTile; i += block_step()) {
    const int r = i / kTile, c = i % kTile;
    if (at.row + r < p.rows && at.column + c < p.columns)
      s.tile[r][c] =
          p.from[at.base + static_cast<std::int64_t>(at.row + r) * p.columns + at.column + c];
  }
  __syncthreads();
  for (int i = block_begin(); i < kTile * kTile; i += block_step()) {
    const int c = i / kTile, r = i % kTile;
    if (at.row + r < p.rows && at.column + c < p.columns)
      p.to[at.base + static_cast<std::int64_t>(at.column + c) * p.rows + at.row + r] = s.tile[r][c];
  }
  __syncthreads();  // the next tile overwrites this one
}

std::int64_t tiles(const Transpose& p) {
  return p.batch * divide_up(p.columns, kTile) * divide_up(p.rows, kTile);
}

__global__ void transpose_kernel(Transpose p) {
  const std::int64_t count = p.batch * divide_up(p.columns, kTile) * divide_up(p.rows, kTile);
  for (std::int64_t t = blockIdx.x; t < count; t += gridDim.x) {
    if constexpr (kStagedOperands)
      copy_staged(p, tile_of(p, t), block_shared<Shared>());
    else
      copy_in_place(p, tile_of(p, t));
  }
}

}  // namespace

void transpose(StreamHandle stream, const Transpose& p) {
  constexpr std::int64_t kMostBlocks = 65536;  // beyond, blocks take several tiles
  const std::int64_t count = tiles(p);
  if (count == 0) return;
  const dim3 grid{static_cast<unsigned>(count < kMostBlocks ? count : kMostBlocks), 1, 1};
  launch<transpose_kernel, Shared>(stream, grid, kThreads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
