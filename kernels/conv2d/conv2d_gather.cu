// Launchers of conv2d_gather.hpp: forward and data gradient of a convolution.
#include "conv2d/conv2d_gather.hpp"

#include "conv2d/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

template <class Shape>
void gather_with_tile(StreamHandle stream, const Conv2dGather& p) {
  constexpr GatherTile kTile = Shape::kTile;
  const Conv2dProblem& c = p.problem;
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int outputs = forward ? c.k : c.c;
  const int reduction = forward ? c.c : c.k;
  const int taps = c.r * c.s;
  const std::int64_t floats = panel_floats(taps, reduction, outputs, kTile.panel);
  for (int t = 0; t < p.terms && floats > 0; ++t) {
    const PackFilter pack{p.term[t].w,       p.workspace + t * floats, taps,    reduction, outputs,
                          forward ? c.k : 1, forward ? 1 : c.k,        !forward};
    launch<pack_filter_kernel<kTile.panel>>(
        stream, dim3{static_cast<unsigned>(divide_up(outputs, kTile.panel) * taps), 1, 1}, 128,
        pack);
  }
  // Phase 0 has the most outputs.
  const GatherAxis rows =
      gather_axis(p.direction, 0, c.h, c.p, c.r, c.stride_h, c.pad_h, c.dilation_h);
  const GatherAxis columns =
      gather_axis(p.direction, 0, c.w, c.q, c.s, c.stride_w, c.pad_w, c.dilation_w);
  const std::int64_t pixels = GatherPixels<Shape>::count(c.n, rows, columns);
  const std::int64_t blocks = divide_up(pixels, kTile.pixels) * divide_up(outputs, kTile.channels);
  if (blocks == 0) return;
  const std::int64_t phases =
      static_cast<std::int64_t>(gather_phases(p.direction, c.stride_h, c.h)) *
      gather_phases(p.direction, c.stride_w, c.w);
  constexpr std::int64_t kPhasesInY = 32768;  // y and z end at 65,535
  const dim3 grid{static_cast<unsigned>(blocks),
                  static_cast<unsigned>(phases < kPhasesInY ? phases : kPhasesInY),
                  static_cast<unsigned>(divide_up(phases, kPhasesInY))};
  launch<conv2d_gather_kernel<Shape>, GatherShared<Shape>>(stream, grid, kTile.threads, p);
}

/// Whether microtiles of `rows` pixels in a line can slide under the filter, and are mostly full.
[[maybe_unused]] bool takes_windows(const Conv2dGather& p, int rows) {
  const Conv2dProblem& c = p.problem;
  const int columns = p.direction == Conv2dDirection::kForward ? c.q : c.w;
  return c.s == 3 && c.stride_w == 1 && c.dilation_w == 1 &&
         10 * columns >= 8 * divide_up(columns, rows) * rows;
}

/// Calls f(Shape{}) with the shape of a gather's tiles.
template <class F>
auto with_tile(const Conv2dGather& p, F f) {
  const int outputs = p.direction == Conv2dDirection::kForward ? p.problem.k : p.problem.c;
  if constexpr (kLines) {
    if (takes_lines(p, max_of(kTileRows, kSlimTileRows))) {
      if (takes_slim_tiles(outputs)) return f(SlimLineTile{});
      return outputs <= kTileColumns ? f(NarrowLineTile{}) : f(WideLineTile{});
    }
  }
  if constexpr (kSlimTiles) {
    if (takes_slim_tiles(outputs))
      return takes_windows(p, kSlimWindowRows) ? f(SlimWindowTile{}) : f(SlimGatherTile{});
  }
  const bool narrow = outputs <= NarrowGatherTile::kTile.channels;
  if constexpr (kWideWindows) {
    if (takes_windows(p, kWindowRows)) return narrow ? f(NarrowWindowTile{}) : f(WideWindowTile{});
  }
  return narrow ? f(NarrowGatherTile{}) : f(WideGatherTile{});
}

/// Floats of the panels of one term.
std::int64_t term_floats(const Conv2dGather& p) {
  if (takes_winograd(p.problem)) return winograd_term_floats(p);
  const Conv2dProblem& c = p.problem;
  const bool forward = p.direction == Conv2dDirection::kForward;
  const int panel = with_tile(p, [](auto shape) { return decltype(shape)::kTile.panel; });
  return panel_floats(c.r * c.s, forward ? c.c : c.k, forward ? c.k : c.c, panel);
}

/// Whether a second term waits for the first, in the same workspace, and adds to the output: where
/// panels are larger than that, writing and reading it once more is the smaller evil. So in the
/// deep levels of a network, whose filters are the largest and whose images the smallest.
bool one_term_after_the_other(const Conv2dGather& p) {
  const Conv2dProblem& c = p.problem;
  const std::int64_t outputs = p.direction == Conv2dDirection::kForward
                                   ? static_cast<std::int64_t>(c.n) * c.p * c.q * c.k
                                   : static_cast<std::int64_t>(c.n) * c.h * c.w * c.c;
  return p.terms == 2 && term_floats(p) > outputs;
}

/// The same gather with all pixels in one line, where a line can be taken whole and pixels do not
/// know their neighbours.
[[maybe_unused]] Conv2dGather in_one_line(Conv2dGather p) {
  Conv2dProblem& c = p.problem;
  const std::int64_t pixels = static_cast<std::int64_t>(c.n) * c.h * c.w;
  constexpr std::int64_t kLongest = 1 << 30;
  const int channels = p.direction == Conv2dDirection::kForward ? c.c : c.k;
  if (channels <= kLineSum && c.r == 1 && c.s == 1 && c.stride_h == 1 && c.stride_w == 1 &&
      c.pad_h == 0 && c.pad_w == 0 && pixels <= kLongest) {
    c.n = c.h = c.p = 1;
    c.w = c.q = static_cast<int>(pixels);
  }
  return p;
}

}  // namespace

std::int64_t conv2d_gather_workspace(const Conv2dGather& p) {
  return one_term_after_the_other(p) ? term_floats(p) : p.terms * term_floats(p);
}

void conv2d_gather(StreamHandle stream, const Conv2dGather& p) {
  if (one_term_after_the_other(p)) {
    Conv2dGather term = p;
    term.terms = 1;
    term.epilogue = {.bias = p.epilogue.bias, .accumulate = p.epilogue.accumulate};
    conv2d_gather(stream, term);
    term.term[0] = p.term[1];
    term.epilogue = p.epilogue;
    term.epilogue.bias = nullptr;
    term.epilogue.accumulate = true;
    return conv2d_gather(stream, term);
  }
  if (takes_winograd(p.problem)) return conv2d_winograd(stream, p);
  const Conv2dGather gather = kLines ? in_one_line(p) : p;
  with_tile(gather, [&](auto shape) { gather_with_tile<decltype(shape)>(stream, gather); });
}

}  // namespace curvseg::CURVSEG_TARGET
