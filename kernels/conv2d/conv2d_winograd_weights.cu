// Launcher of conv2d_winograd_weights.hpp.
#include "conv2d/conv2d_winograd_weights.hpp"

#include "conv2d/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

using Shape = WideWinogradWeightTile;

/// Enough blocks to fill the machine, few enough that partial sums stay small.
WinogradWeightPlan winograd_weight_plan(const Conv2dProblem& c) {
  constexpr std::int64_t kBlocks = kStagedOperands ? 1024 : 48;
  constexpr std::int64_t kTilesPerSplit = kStagedOperands ? 64 : 2 * Shape::kTile.tiles;
  constexpr std::int64_t kPartialFloats = std::int64_t{1} << 24;
  WinogradWeightPlan plan;
  plan.channel_blocks = static_cast<int>(divide_up(c.c, Shape::kTile.channels));
  plan.output_blocks = static_cast<int>(divide_up(c.k, Shape::kTile.outputs));
  const std::int64_t blocks = static_cast<std::int64_t>(plan.channel_blocks) * plan.output_blocks;
  const std::int64_t tiles = WinogradSides(c, Conv2dDirection::kForward).tiles();
  std::int64_t splits = divide_up(kBlocks, blocks);
  if (splits > divide_up(tiles, kTilesPerSplit)) splits = divide_up(tiles, kTilesPerSplit);
  if (splits > kPartialFloats / (std::int64_t{9} * c.c * c.k))
    splits = kPartialFloats / (std::int64_t{9} * c.c * c.k);
  plan.splits = splits < 1 ? 1 : static_cast<int>(splits);
  return plan;
}

}  // namespace

std::int64_t winograd_weight_workspace(const Conv2dProblem& c) {
  const int splits = winograd_weight_plan(c).splits;
  return splits == 1 ? 0 : splits * std::int64_t{9} * c.c * c.k;
}

void conv2d_winograd_weights(StreamHandle stream, const Conv2dWeightGradient& p) {
  const Conv2dProblem& c = p.problem;
  const WinogradWeightPlan plan = winograd_weight_plan(c);
  const std::int64_t blocks =
      static_cast<std::int64_t>(plan.channel_blocks) * plan.output_blocks * plan.splits;
  launch<conv2d_winograd_weights_kernel<Shape>, WinogradWeightShared<Shape>>(
      stream, dim3{static_cast<unsigned>(blocks), 1, 1}, Shape::kTile.threads,
      WinogradWeightParams{p, plan});
  if (plan.splits == 1) return;
  const std::int64_t floats = std::int64_t{9} * c.c * c.k;
  launch<sum_splits_kernel<false>>(
      stream, grid_for(floats), kGridThreads,
      SumSplits{p.workspace, p.dw, floats, plan.splits, 1, p.accumulate});
}

}  // namespace curvseg::CURVSEG_TARGET
