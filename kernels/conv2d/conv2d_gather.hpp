// Convolution forward and data gradient, as one gather over one or two terms:
//
//   out[m, o] = epilogue( Σ_t Σ_taps Σ_i source_t[pixel(m, tap), i] · panel_t[o, tap, i] )
//
// m runs over the outputs of one phase (GatherAxis), o over output channels. Overwrites `out`, or
// adds to it when the epilogue says so. An implicit matrix product: no im2col is ever in memory.
// Two terms share one accumulator: y = x ⊛ w and Ry = Rx ⊛ w + x ⊛ Rw are the same kernel.
#pragma once

#include "conv2d/conv2d.hpp"
#include "conv2d/operand_loaders.hpp"
#include "conv2d/tiles.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
struct GatherShared {
  static constexpr GatherTile kTile = Shape::kTile;
  GatherPixels<kTile.pixels> pixels;
  typename GatherLoader<Shape>::Shared operands;
  typename Accumulators<BlockTile<kTile.pixels, kTile.channels>>::Shared accumulators;
};

/// Where the outputs of this block's pixels lie and where their source windows begin.
template <int kPixels>
__device__ void locate_pixels(GatherPixels<kPixels>& pixels, const Conv2dGather& p,
                              const GatherAxis& rows, const GatherAxis& columns,
                              std::int64_t first) {
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int out_h = forward ? p.problem.p : p.problem.h;
  const int out_w = forward ? p.problem.q : p.problem.w;
  PixelCursor cursor(first + block_begin(), p.problem.n, rows.outputs, columns.outputs);
  for (int i = block_begin(); i < kPixels; i += block_step(), cursor.advance(block_step())) {
    GatherPixel& pixel = pixels.at[i];
    if (cursor.valid()) {
      const int y = rows.out_start + cursor.row() * rows.out_step;
      const int x = columns.out_start + cursor.column() * columns.out_step;
      pixel.out = (static_cast<std::int64_t>(cursor.image()) * out_h + y) * out_w + x;
      pixel.image = cursor.image();
      pixel.row = cursor.row() * rows.source_step + rows.source_offset;
      pixel.column = cursor.column() * columns.source_step + columns.source_offset;
    } else {
      pixel.out = -1;
      pixel.image = 0;
      pixel.row = kOutside;
      pixel.column = kOutside;
    }
  }
}

/// Takes `kColumns` adjacent channels of one pixel through the epilogue. All of them exist if
/// `kWhole`, else the first `count`. Loops are of constant length, so values stay in registers.
template <bool kWhole, int kColumns>
__device__ __forceinline__ void finish_group(const Conv2dGather& p, std::int64_t pixel, int channel,
                                             float (&value)[kColumns], int count) {
  const Conv2dEpilogue& e = p.epilogue;
  float* out = p.out + pixel * p.ld_out + channel;
  if (e.accumulate) {
    CURVSEG_UNROLL
    for (int j = 0; j < kColumns; ++j)
      if (kWhole || j < count) value[j] += out[j];
  }
  if (e.bias) {
    CURVSEG_UNROLL
    for (int j = 0; j < kColumns; ++j)
      if (kWhole || j < count) value[j] += e.bias[channel + j];
  }
  if (e.relu) {
    CURVSEG_UNROLL
    for (int j = 0; j < kColumns; ++j) value[j] = value[j] < 0.0f ? 0.0f : value[j];  // keeps NaN
  }
  const int masked = e.mask_channels - channel;
  if (e.mask && masked > 0) {
    const float* mask = e.mask + pixel * e.ld_mask + channel;
    if (kWhole && masked >= kColumns) {
      CURVSEG_UNROLL
      for (int j = 0; j < kColumns; ++j) value[j] = mask[j] > 0.0f ? value[j] : 0.0f;
    } else {
      CURVSEG_UNROLL
      for (int j = 0; j < kColumns; ++j)
        if ((kWhole || j < count) && j < masked) value[j] = mask[j] > 0.0f ? value[j] : 0.0f;
    }
  }
  store_group(out, value, kWhole ? kColumns : count);
}

/// Writes microtile `t`.
template <class Tile, int kPixels>
__device__ __forceinline__ void store_microtile(const Conv2dGather& p, int outputs,
                                                const GatherPixels<kPixels>& pixels, int t,
                                                int first_channel,
                                                const typename Tile::Storage& tile) {
  CURVSEG_UNROLL
  for (int i = 0; i < Tile::kRows; ++i) {
    const std::int64_t pixel = pixels.at[Tile::row(t, i)].out;
    if (pixel < 0) continue;
    CURVSEG_UNROLL
    for (int g = 0; g < Tile::kGroups; ++g) {
      const int channel = first_channel + Tile::column(t, g);
      if (channel >= outputs) continue;
      float value[Tile::kGroupColumns];
      CURVSEG_UNROLL
      for (int j = 0; j < Tile::kGroupColumns; ++j) value[j] = Tile::get(tile, i, g, j);
      if (outputs - channel >= Tile::kGroupColumns)
        finish_group<true>(p, pixel, channel, value, Tile::kGroupColumns);
      else
        finish_group<false>(p, pixel, channel, value, outputs - channel);
    }
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kTile.threads) conv2d_gather_kernel(Conv2dGather p) {
  constexpr GatherTile kTile = Shape::kTile;
  const Conv2dProblem& c = p.problem;
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int outputs = forward ? c.k : c.c;
  const int column_phases = gather_phases(p.direction, c.stride_w);
  const int phase = static_cast<int>(blockIdx.y);
  const GatherAxis rows = gather_axis(p.direction, phase / column_phases, c.h, c.p, c.r, c.stride_h,
                                      c.pad_h, c.dilation_h);
  const GatherAxis columns = gather_axis(p.direction, phase % column_phases, c.w, c.q, c.s,
                                         c.stride_w, c.pad_w, c.dilation_w);
  const unsigned channel_blocks = static_cast<unsigned>(divide_up(outputs, kTile.channels));
  const std::int64_t first_pixel =
      static_cast<std::int64_t>(blockIdx.x / channel_blocks) * kTile.pixels;
  const int first_channel = static_cast<int>(blockIdx.x % channel_blocks) * kTile.channels;
  if (first_pixel >= static_cast<std::int64_t>(c.n) * rows.outputs * columns.outputs) return;

  auto& shared = block_shared<GatherShared<Shape>>();
  locate_pixels(shared.pixels, p, rows, columns, first_pixel);
  using Tile = BlockTile<kTile.pixels, kTile.channels>;
  Accumulators<Tile> accumulators(shared.accumulators);
  accumulators.clear();
  GatherLoader<Shape> loader(p, rows, columns, first_channel, shared.pixels, shared.operands);
  __syncthreads();

  for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
    loader.acquire(step);
    for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step())
      loader.multiply(step, t, accumulators.at(t));
    loader.release();
  }

  for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step())
    store_microtile<Tile>(p, outputs, shared.pixels, t, first_channel, accumulators.at(t));
}

}  // namespace curvseg::CURVSEG_TARGET
