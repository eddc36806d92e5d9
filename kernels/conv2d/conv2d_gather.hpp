// Convolution forward and data gradient, as one gather over one or two terms:
//
//   out[m, o] = epilogue( Σ_t Σ_taps Σ_i source_t[pixel(m, tap), i] · panel_t[o, tap, i] )
//
// m runs over the outputs of one phase (GatherAxis), o over output channels. Overwrites `out`, or
// adds to it when the epilogue says so. An implicit matrix product: no im2col is ever in memory.
// Two terms share one accumulator: y = x ⊛ w and Ry = Rx ⊛ w + x ⊛ Rw are the same kernel.
#pragma once

#include <type_traits>

#include "conv2d/conv2d.hpp"
#include "conv2d/epilogue.hpp"
#include "conv2d/gather_pixels.hpp"
#include "conv2d/in_place_loader.hpp"
#include "conv2d/line_loader.hpp"
#include "conv2d/staged_loader.hpp"
#include "conv2d/tiles.hpp"
#include "conv2d/window_loader.hpp"

namespace curvseg::CURVSEG_TARGET {

template <class Shape>
using HostGatherLoader = std::conditional_t<
    kIsLine<Shape>, LineGatherLoader<Shape>,
    std::conditional_t<kIsWindow<Shape>, WindowGatherLoader<Shape>, InPlaceGatherLoader<Shape>>>;
template <class Shape>
using GatherLoader =
    std::conditional_t<kStagedOperands, StagedGatherLoader<Shape>, HostGatherLoader<Shape>>;

template <class Shape>
struct GatherShared {
  static constexpr GatherTile kTile = Shape::kTile;
  GatherPixels<Shape> pixels;
  typename GatherLoader<Shape>::Shared operands;
  typename Accumulators<GatherBlockTile<Shape>>::Shared accumulators;
};

/// Takes all kColumns channels of a run of pixels through the epilogue; `value(i)` is the i-th's.
/// What is the same for all of them is asked once.
template <int kColumns, class Value>
__device__ __forceinline__ void finish_run(const Conv2dGather& p, const PixelRun& run, int channel,
                                           Value value) {
  const Conv2dEpilogue& e = p.epilogue;
  const auto zero = fill_lanes<kColumns>(0.0f);
  float* out = p.out + run.out * p.ld_out + channel;
  const std::int64_t step = run.step * p.ld_out;
  const bool masked = e.mask && e.mask_channels > channel;
  const float* mask = masked ? e.mask + run.out * e.ld_mask + channel : nullptr;
  const std::int64_t mask_step = run.step * e.ld_mask;
  const bool accumulate = e.accumulate, biased = e.bias != nullptr, relu = e.relu;
  const auto bias = biased ? load_group<kColumns>(e.bias + channel, kColumns) : zero;
  for (int i = 0; i < run.count; ++i, out += step) {
    auto sum = value(i);
    if (accumulate) sum = sum + load_group<kColumns>(out, kColumns);
    if (biased) sum = sum + bias;
    if (relu) sum = select(sum < 0.0f, zero, sum);  // keeps NaN
    if (masked) {
      sum = select(load_group<kColumns>(mask, kColumns) > 0.0f, sum, zero);
      mask += mask_step;
    }
    store_group(out, sum, kColumns);
  }
}

/// Writes microtile `t`.
template <class Tile, class Pixels>
__device__ __forceinline__ void store_microtile(const Conv2dGather& p, int outputs,
                                                const Pixels& pixels, int t, int first_channel,
                                                const typename Tile::Storage& tile) {
  if constexpr (Pixels::kRuns) {
    const PixelRun run = pixels.run(t / Tile::kAcross);
    const int channel = first_channel + Tile::column(t, 0);
    const int masked = p.epilogue.mask ? p.epilogue.mask_channels - channel : 0;
    if (run.count > 0 && outputs - channel >= Tile::kGroupColumns &&
        (masked <= 0 || masked >= Tile::kGroupColumns))
      return finish_run<Tile::kGroupColumns>(
          p, run, channel, [&](int i) __attribute__((always_inline)) {
            return group_lanes<Tile>(tile, i, 0);
          });
  }
  CURVSEG_UNROLL
  for (int i = 0; i < Tile::kRows; ++i) {
    const std::int64_t pixel = pixels.out(Tile::row(t, i));
    if (pixel < 0) continue;
    CURVSEG_UNROLL
    for (int g = 0; g < Tile::kGroups; ++g) {
      const int channel = first_channel + Tile::column(t, g);
      if (channel >= outputs) continue;
      const auto value = group_lanes<Tile>(tile, i, g);
      if (outputs - channel >= Tile::kGroupColumns)
        finish_group(p, pixel, channel, value, Tile::kGroupColumns);
      else
        finish_group(p, pixel, channel, value, outputs - channel);
    }
  }
}

/// What storing microtile `t` will touch, where that is a run of pixels; nothing where it is not.
template <class Tile, class Pixels>
__device__ __forceinline__ StoredRun stored_run(const Conv2dGather& p, int outputs,
                                                const Pixels& pixels, int t, int first_channel) {
  const int channel = first_channel + Tile::column(t, 0);
  const int count = min_of(outputs - channel, Tile::kGroupColumns);
  const PixelRun run = pixels.run(t / Tile::kAcross);
  StoredRun stored;
  if (run.count == 0 || count <= 0) return stored;
  stored.out = {p.out + run.out * p.ld_out + channel, run.step * p.ld_out, run.count, count};
  const Conv2dEpilogue& e = p.epilogue;
  const int masked = e.mask ? min_of(e.mask_channels - channel, count) : 0;
  if (masked > 0)
    stored.mask = {e.mask + run.out * e.ld_mask + channel, run.step * e.ld_mask, run.count, masked};
  return stored;
}

/// Asks for what storing microtile `t` will touch, so that it is there when the sum is.
template <class Tile, class Pixels>
__device__ __forceinline__ void prefetch_microtile(const Conv2dGather& p, int outputs,
                                                   const Pixels& pixels, int t, int first_channel) {
  const int channel = first_channel + Tile::column(t, 0);
  const int count = min_of(outputs - channel, Tile::kGroupColumns);
  if constexpr (Pixels::kRuns) {
    const StoredRun stored = stored_run<Tile>(p, outputs, pixels, t, first_channel);
    if (stored.out.count > 0) {
      const float* out = stored.out.first;
      for (int i = 0; i < stored.out.count; ++i, out += stored.out.distance)
        prefetch_to_write(out, count);
      const float* mask = stored.mask.first;
      for (int i = 0; i < stored.mask.count; ++i, mask += stored.mask.distance)
        prefetch_to_read(mask, stored.mask.floats);
      return;
    }
  }
  for (int i = 0; i < Tile::kRows && count > 0; ++i) {
    const std::int64_t pixel = pixels.out(Tile::row(t, i));
    if (pixel < 0) continue;
    prefetch_to_write(p.out + pixel * p.ld_out + channel, count);
    if (p.epilogue.mask)
      prefetch_to_read(p.epilogue.mask + pixel * p.epilogue.ld_mask + channel,
                       min_of(p.epilogue.mask_channels - channel, count));
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kTile.threads) conv2d_gather_kernel(Conv2dGather p) {
  constexpr GatherTile kTile = Shape::kTile;
  const Conv2dProblem& c = p.problem;
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int outputs = forward ? c.k : c.c;
  // Phases over y and z: a large stride has more of them than y may count.
  const int column_phases = gather_phases(p.direction, c.stride_w, c.w);
  const unsigned phase = blockIdx.z * gridDim.y + blockIdx.y;
  const int row_phase = static_cast<int>(phase / static_cast<unsigned>(column_phases));
  if (row_phase >= gather_phases(p.direction, c.stride_h, c.h)) return;
  const GatherAxis rows =
      gather_axis(p.direction, row_phase, c.h, c.p, c.r, c.stride_h, c.pad_h, c.dilation_h);
  const GatherAxis columns =
      gather_axis(p.direction, static_cast<int>(phase) - row_phase * column_phases, c.w, c.q, c.s,
                  c.stride_w, c.pad_w, c.dilation_w);
  const unsigned channel_blocks = static_cast<unsigned>(divide_up(outputs, kTile.channels));
  const std::int64_t first_pixel =
      static_cast<std::int64_t>(blockIdx.x / channel_blocks) * kTile.pixels;
  const int first_channel = static_cast<int>(blockIdx.x % channel_blocks) * kTile.channels;
  if (first_pixel >= GatherPixels<Shape>::count(c.n, rows, columns)) return;

  auto& shared = block_shared<GatherShared<Shape>>();
  shared.pixels.locate(p, rows, columns, first_pixel);
  using Tile = GatherBlockTile<Shape>;
  Accumulators<Tile> accumulators(shared.accumulators);
  GatherLoader<Shape> loader(p, rows, columns, first_channel, shared.pixels, shared.operands);
  if (kStagedOperands) accumulators.clear(block_begin());
  __syncthreads();

  // A thread that has all microtiles begins one with its first step and stores it after its last,
  // while it is in the first-level cache. With one step, as most often, all use the memory of one.
  bool first = true;
  for (auto step = loader.begin(); loader.valid(step); step = loader.next(step)) {
    loader.acquire(step);
    const bool last = !kStagedOperands && !loader.valid(loader.next(step));
    for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step()) {
      const int slot = first && last ? 0 : t;
      if constexpr (kIsWindow<Shape>) {
        loader.multiply(
            step, t, accumulators.at(slot), first,
            last ? stored_run<Tile>(p, outputs, shared.pixels, t, first_channel) : StoredRun{});
      } else {
        if (last) prefetch_microtile<Tile>(p, outputs, shared.pixels, t, first_channel);
        loader.multiply(step, t, accumulators.at(slot), first);
      }
      if (last)
        store_microtile<Tile>(p, outputs, shared.pixels, t, first_channel, accumulators.at(slot));
    }
    first = false;
    loader.release();
  }
  if (!kStagedOperands && !first) return;
  for (int t = block_begin(); t < Tile::kMicrotiles; t += block_step()) {
    if (!kStagedOperands) accumulators.clear(t);  // there was no step
    store_microtile<Tile>(p, outputs, shared.pixels, t, first_channel, accumulators.at(t));
  }
}

}  // namespace curvseg::CURVSEG_TARGET
