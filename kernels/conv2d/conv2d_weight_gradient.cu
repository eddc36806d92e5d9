// Launcher of conv2d_weight_gradient.hpp.
#include "conv2d/conv2d_weight_gradient.hpp"

#include "conv2d/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// Enough blocks to fill the machine, few enough that partial sums stay small; for squares at most
/// as many, so that both take the same workspace.
template <class Shape>
WeightPlan weight_plan(const Conv2dProblem& c, bool squares) {
  constexpr WeightTile tile = Shape::kTile;
  constexpr std::int64_t kBlocks = kStagedOperands ? 1024 : 48;
  constexpr std::int64_t kPixelsPerSplit = kStagedOperands ? 256 : 512;
  constexpr std::int64_t kPartialFloats = std::int64_t{1} << 24;
  constexpr int kAccumulatorBytes = 24 * 1024;
  WeightPlan plan;
  plan.channel_blocks = static_cast<int>(divide_up(c.c, tile.channels));
  plan.output_blocks = static_cast<int>(divide_up(c.k, tile.outputs));
  const int taps = c.r * c.s;
  if (tile.taps == 1) {
    plan.taps_per_block = 1;
  } else {
    const int rows =
        static_cast<int>(divide_up(c.c < tile.channels ? c.c : tile.channels, tile.rows)) *
        tile.rows;
    const int columns =
        static_cast<int>(divide_up(c.k < tile.outputs ? c.k : tile.outputs, tile.columns)) *
        tile.columns;
    constexpr int kAtOnce = kTapsAtOnce<Shape>;
    const int fit = kAccumulatorBytes / (4 * rows * columns * kAtOnce) * kAtOnce;
    plan.taps_per_block = max_of(min_of(fit, tile.taps), kAtOnce);
  }
  plan.tap_blocks = static_cast<int>(divide_up(taps, plan.taps_per_block));
  const std::int64_t tiles =
      static_cast<std::int64_t>(plan.channel_blocks) * plan.output_blocks * plan.tap_blocks;
  const std::int64_t floats = static_cast<std::int64_t>(taps) * c.c * c.k;
  const std::int64_t pixels = static_cast<std::int64_t>(c.n) * c.p * c.q;
  std::int64_t splits = divide_up(kBlocks, tiles);
  if (splits > divide_up(pixels, kPixelsPerSplit)) splits = divide_up(pixels, kPixelsPerSplit);
  if (splits > kPartialFloats / floats) splits = kPartialFloats / floats;
  plan.splits = splits < 1 ? 1 : static_cast<int>(splits);
  const bool by_image = squares && c.n > 0;  // no image: one sum, of nothing
  plan.groups = by_image ? c.n : 1;
  plan.parts = max_of(plan.splits / plan.groups, 1);
  plan.splits = min_of(plan.splits, plan.groups * plan.parts);
  return plan;
}

template <class Shape, bool kSquares>
void sum_weights(StreamHandle stream, const Conv2dWeightGradient& p, const WeightPlan& plan) {
  const Conv2dProblem& c = p.problem;
  const std::int64_t floats = static_cast<std::int64_t>(c.r) * c.s * c.c * c.k;
  const std::int64_t blocks = static_cast<std::int64_t>(plan.tap_blocks) * plan.channel_blocks *
                              plan.output_blocks * plan.splits;
  launch<conv2d_weight_gradient_kernel<Shape, kSquares>, WeightShared<Shape>>(
      stream, dim3{static_cast<unsigned>(blocks), 1, 1}, Shape::kTile.threads,
      WeightGradientParams{p, plan});
  if (plan.splits == 1) return;
  if (kSquares && plan.parts > 1)
    sum_splits<true>(stream, {p.workspace, p.dw, floats, plan.groups, plan.parts, p.accumulate});
  else
    sum_splits<false>(stream, {p.workspace, p.dw, floats, plan.splits, 1, p.accumulate});
}

template <class Shape>
void weight_gradient_with_tile(StreamHandle stream, const Conv2dWeightGradient& p) {
  const WeightPlan plan = weight_plan<Shape>(p.problem, p.squares);
  if (p.squares)
    sum_weights<Shape, true>(stream, p, plan);
  else
    sum_weights<Shape, false>(stream, p, plan);
}

/// Calls f(Shape{}) with the shape of a problem's tiles.
template <class F>
auto with_tile(const Conv2dProblem& c, F f) {
  if constexpr (kSlimTiles) {
    constexpr int kShortLine = 16;  // below this, the ends of lines are most of the work
    const bool slim = takes_slim_tiles(c.k);
    if constexpr (kOuterWindows) {
      if (c.s == 3 && c.stride_w == 1 && c.dilation_w == 1 && c.q >= kShortLine)
        return slim ? f(SlimWindowWeightTile{}) : f(WideWindowWeightTile{});
    }
    if (slim) return f(SlimWeightTile{});
  }
  return f(WideWeightTile{});
}

}  // namespace

std::int64_t conv2d_weight_workspace(const Conv2dWeightGradient& p) {
  const Conv2dProblem& c = p.problem;
  const std::int64_t floats = static_cast<std::int64_t>(c.r) * c.s * c.c * c.k;
  if (floats == 0) return 0;
  const int splits =
      with_tile(c, [&](auto shape) { return weight_plan<decltype(shape)>(c, false).splits; });
  const std::int64_t direct = splits == 1 ? 0 : splits * floats;
  if (!takes_winograd(c)) return direct;
  // Squares are direct whatever the algorithm, and take the same workspace.
  const std::int64_t winograd = winograd_weight_workspace(c);
  return winograd > direct ? winograd : direct;
}

void conv2d_weight_gradient(StreamHandle stream, const Conv2dWeightGradient& p) {
  if (static_cast<std::int64_t>(p.problem.r) * p.problem.s * p.problem.c * p.problem.k == 0) return;
  Conv2dWeightGradient gradient = p;
  Conv2dProblem& c = gradient.problem;
  // The filter fits nowhere: no pixel, as with no image, but pixels are counted by dividing.
  if (c.p == 0 || c.q == 0) c.n = 0, c.p = 1, c.q = 1;
  if (!p.squares && takes_winograd(c)) return conv2d_winograd_weights(stream, gradient);
  with_tile(c, [&](auto shape) { weight_gradient_with_tile<decltype(shape)>(stream, gradient); });
}

}  // namespace curvseg::CURVSEG_TARGET
