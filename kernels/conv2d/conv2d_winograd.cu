// Launcher of conv2d_winograd.hpp.
#include "conv2d/conv2d_winograd.hpp"

#include "conv2d/launchers.hpp"

namespace curvseg::CURVSEG_TARGET {
namespace {

/// Where it was measured to be faster, docs/design/0003-winograd.md: on the host, where channels
/// fill a panel, and are enough to make up for the transforms, and an image is large enough to make
/// up for those of the filter. Not a matter of n: a batch in parts gives the same bits.
bool is_faster(const Conv2dProblem& c) {
  constexpr int kFewest = max_of(16, kTileColumns);
  constexpr std::int64_t kProducts = 512, kPixels = 144;
  return !kStagedOperands && c.c >= kFewest && c.k >= kFewest &&
         static_cast<std::int64_t>(c.c) * c.k >= kProducts &&
         static_cast<std::int64_t>(c.p) * c.q >= kPixels;
}

}  // namespace

bool takes_winograd(const Conv2dProblem& c) {
  if (c.algorithm == ConvAlgorithm::kDirect || c.r != 3 || c.s != 3 || c.stride_h != 1 ||
      c.stride_w != 1 || c.dilation_h != 1 || c.dilation_w != 1 || c.c == 0 || c.k == 0)
    return false;
  return c.algorithm == ConvAlgorithm::kWinograd || is_faster(c);
}

std::int64_t winograd_term_floats(const Conv2dGather& p) {
  const WinogradSides sides(p.problem, p.direction);
  return panel_floats(kWinogradPlanes, sides.channels, sides.outputs,
                      WideWinogradTile::kTile.panel);
}

void conv2d_winograd(StreamHandle stream, const Conv2dGather& p) {
  constexpr WinogradTile kTile = WideWinogradTile::kTile;
  const WinogradSides sides(p.problem, p.direction);
  const bool forward = p.direction == Conv2dDirection::kForward;
  const std::int64_t floats = winograd_term_floats(p);
  const std::int64_t filter_blocks =
      divide_up(sides.outputs, kTile.panel) * divide_up(sides.channels, kWinogradFilterRows);
  for (int t = 0; t < p.terms; ++t) {
    const PackFilter pack{p.term[t].w,
                          p.workspace + t * floats,
                          9,
                          sides.channels,
                          sides.outputs,
                          forward ? p.problem.k : 1,
                          forward ? 1 : p.problem.k,
                          !forward};
    launch<transform_filter_kernel<kTile.panel>>(
        stream, dim3{static_cast<unsigned>(filter_blocks), 1, 1}, 128, pack);
  }
  const std::int64_t blocks =
      divide_up(sides.tiles(), kTile.tiles) * divide_up(sides.outputs, kTile.channels);
  if (blocks == 0) return;
  launch<conv2d_winograd_kernel<WideWinogradTile>, WinogradShared<WideWinogradTile>>(
      stream, dim3{static_cast<unsigned>(blocks), 1, 1}, kTile.threads, p);
}

}  // namespace curvseg::CURVSEG_TARGET
