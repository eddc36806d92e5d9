// Launcher of conv2d_winograd_weights.hpp.
#include "conv2d/conv2d_winograd_weights.hpp"

#include "conv2d/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// Enough blocks to fill the machine, few enough that partial sums stay small.
template <class Shape>
WinogradWeightPlan winograd_weight_plan(const Conv2dProblem& c) {
  constexpr std::int64_t kBlocks = kStagedOperands ? 1024 : 48;
  constexpr std::int64_t kTilesPerSplit = kStagedOperands ? 64 : 128;
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

/// Calls f(Shape{}) with the shape of a problem's tiles.
template <class F>
auto with_tile(const Conv2dProblem& c, F f) {
  if constexpr (!kStagedOperands) {
    if (c.k <= NarrowWinogradWeightTile::kTile.outputs) return f(NarrowWinogradWeightTile{});
  }
  return f(WideWinogradWeightTile{});
}

template <class Shape>
void winograd_weights(StreamHandle stream, const Conv2dWeightGradient& p) {
  const Conv2dProblem& c = p.problem;
  const WinogradWeightPlan plan = winograd_weight_plan<Shape>(c);
  const std::int64_t blocks =
      static_cast<std::int64_t>(plan.channel_blocks) * plan.output_blocks * plan.splits;
  launch<conv2d_winograd_weights_kernel<Shape>, WinogradWeightShared<Shape>>(
      stream, dim3{static_cast<unsigned>(blocks), 1, 1}, Shape::kTile.threads,
      WinogradWeightParams{p, plan});
  if (plan.splits == 1) return;
  const std::int64_t floats = std::int64_t{9} * c.c * c.k;
  sum_splits<false>(stream, {p.workspace, p.dw, floats, plan.splits, 1, p.accumulate});
}

}  // namespace

std::int64_t winograd_weight_workspace(const Conv2dProblem& c) {
  const int splits =
      with_tile(c, [&](auto shape) { return winograd_weight_plan<decltype(shape)>(c).splits; });
  return splits == 1 ? 0 : splits * std::int64_t{9} * c.c * c.k;
}

void conv2d_winograd_weights(StreamHandle stream, const Conv2dWeightGradient& p) {
  with_tile(p.problem, [&](auto shape) { winograd_weights<decltype(shape)>(stream, p); });
}

}  // namespace curvseg::CURVSEG_TARGET
