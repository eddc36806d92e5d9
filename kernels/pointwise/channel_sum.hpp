// The bias gradient:  db[c] = Σ_p dy[p, c]   (+ db[c] if accumulate)
// or its squares:     db[c] = Σ_n (Σ_p dy[n, p, c])²
//
// Overwrites db, or adds to it. Pixels are cut into splits and every split into slots by shapes
// alone; slots, then splits, are added in order: no atomics, the same bits on every run. With one
// split the first kernel writes db itself. For squares a split is some whole images, or a part of
// one, which the second kernel completes before it squares.
#pragma once

#include "exec/block_reduce.hpp"
#include "pointwise/pointwise.hpp"

namespace curvseg::CURVSEG_TARGET {

/// How the work is cut; a function of shapes alone, the same on every target.
struct ChannelSumPlan {
  static constexpr int kSlots = 256;  // accumulators of a block: a thread each on a GPU

  int splits;
  int groups;  // of pixels whose sum stands for itself: images, or all pixels as one
  int parts;   // of a group; with 1, a split has whole groups, else it is one part
  int channel_blocks;
  int across;  // channels of a block
  int down;    // pixels that a block adds at a time, across · down <= kSlots
};

struct ChannelSumParams {
  ChannelSum sum;
  ChannelSumPlan plan;
};

inline ChannelSumPlan channel_sum_plan(std::int64_t pixels, int channels, int squared_images) {
  // 128 KiB a split: enough to amortise a block, small enough that 2 cores or 132 multiprocessors
  // share a layer of a U-Net evenly.
  constexpr std::int64_t kElementsPerSplit = 32768;
  constexpr std::int64_t kSplits = 1024;
  ChannelSumPlan plan;
  plan.across = channels < ChannelSumPlan::kSlots ? channels : ChannelSumPlan::kSlots;
  plan.down = ChannelSumPlan::kSlots / plan.across;
  plan.channel_blocks = static_cast<int>(divide_up(channels, plan.across));
  const std::int64_t splits = divide_up(pixels * plan.across, kElementsPerSplit);
  plan.splits = static_cast<int>(splits < 1 ? 1 : splits < kSplits ? splits : kSplits);
  plan.groups = squared_images > 0 ? squared_images : 1;
  plan.parts = max_of(plan.splits / plan.groups, 1);
  plan.splits = min_of(plan.splits, plan.groups * plan.parts);
  return plan;
}

struct ChannelSumShared {
  alignas(64) float slot[ChannelSumPlan::kSlots];
  float total[ChannelSumPlan::kSlots];  // of the groups of a split
};

/// Adds `rows` rows of `length` floats, `stride` apart, to the slots. A GPU thread has one slot.
__device__ __forceinline__ void add_rows(float* slot, const float* from, int rows, int length,
                                         std::int64_t stride) {
  if constexpr (kStagedOperands) {
    const int row = static_cast<int>(threadIdx.x) / length;
    const int j = static_cast<int>(threadIdx.x) - row * length;
    if (row < rows) slot[threadIdx.x] += from[row * stride + j];
  } else {
    for (int row = 0; row < rows; ++row)
      for (int j = 0; j < length; ++j) slot[row * length + j] += from[row * stride + j];
  }
}

/// Adds the pixels [first, last) of this block's channels to the slots.
__device__ __forceinline__ void add_pixels(const ChannelSum& f, const ChannelSumPlan& plan,
                                           int first_channel, int across, std::int64_t first,
                                           std::int64_t last, float* slot) {
  // Without gaps between pixels, `down` of them are one row: one long loop on the host.
  const bool dense = f.ldy == across;
  for (std::int64_t pixel = first; pixel < last; pixel += plan.down) {
    const int rows = last - pixel < plan.down ? static_cast<int>(last - pixel) : plan.down;
    const float* dy = f.dy + pixel * f.ldy + first_channel;
    if (dense)
      add_rows(slot, dy, 1, rows * across, 0);
    else
      add_rows(slot, dy, rows, across, f.ldy);
  }
}

template <bool kSquares>
__global__ void __launch_bounds__(ChannelSumPlan::kSlots) channel_sum_kernel(ChannelSumParams p) {
  const ChannelSum& f = p.sum;
  const ChannelSumPlan& plan = p.plan;
  const int split = static_cast<int>(blockIdx.x) / plan.channel_blocks;
  const int first_channel = static_cast<int>(blockIdx.x) % plan.channel_blocks * plan.across;
  const int left = f.channels - first_channel;
  const int across = left < plan.across ? left : plan.across;
  const bool square = kSquares && plan.parts == 1;
  const std::int64_t groups = plan.groups, pixels = f.pixels / groups;
  const std::int64_t first = square ? groups * split / plan.splits : split;
  const std::int64_t last = square ? groups * (split + 1) / plan.splits : split + 1;

  auto& shared = block_shared<ChannelSumShared>();
  for (std::int64_t unit = first; unit < last; ++unit) {
    for (int slot = block_begin(); slot < ChannelSumPlan::kSlots; slot += block_step())
      shared.slot[slot] = 0.0f;
    const std::int64_t group = unit / plan.parts, part = unit - group * plan.parts;
    add_pixels(f, plan, first_channel, across, group * pixels + pixels * part / plan.parts,
               group * pixels + pixels * (part + 1) / plan.parts, shared.slot);
    __syncthreads();
    for (int c = block_begin(); c < across; c += block_step()) {
      float sum = 0.0f;
      for (int row = 0; row < plan.down; ++row) sum += shared.slot[row * across + c];
      if (square) sum *= sum;
      shared.total[c] = unit == first ? sum : shared.total[c] + sum;
    }
    __syncthreads();  // before the next unit clears the slots
  }

  for (int c = block_begin(); c < across; c += block_step()) {
    const int channel = first_channel + c;
    if (plan.splits > 1)
      f.workspace[static_cast<std::int64_t>(channel) * plan.splits + split] = shared.total[c];
    else
      f.db[channel] = f.accumulate ? f.db[channel] + shared.total[c] : shared.total[c];
  }
}

struct SumSplitsShared {
  BlockSumScratch<float> scratch;
};

inline constexpr int kSumSplitsThreads = kStagedOperands ? 128 : 1;

/// A block adds the splits of one channel; with kSquares those of a group first, and squares them.
template <bool kSquares>
__global__ void __launch_bounds__(kSumSplitsThreads) sum_channel_splits_kernel(ChannelSumParams p) {
  auto& shared = block_shared<SumSplitsShared>();
  const std::int64_t channel = blockIdx.x;
  const float* partial = p.sum.workspace + channel * p.plan.splits;
  const int parts = kSquares ? p.plan.parts : 1;
  const float share = thread_sum<float>(p.plan.splits / parts, [=](std::int64_t group) {
    if (!kSquares) return partial[group];
    float sum = 0.0f;
    for (int part = 0; part < parts; ++part) sum += partial[group * parts + part];
    return sum * sum;
  });
  const float sum = block_sum(share, shared.scratch);
  if (threadIdx.x == 0) p.sum.db[channel] = p.sum.accumulate ? p.sum.db[channel] + sum : sum;
}

}  // namespace curvseg::CURVSEG_TARGET
