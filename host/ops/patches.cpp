// Patches of a convolution's input: checks, then kernels/patches.
#include "host/ops/check.hpp"

namespace curvseg {
namespace {

constexpr const char* kPatches = "gather_patches";

void check_rows(const ConstTensorView& x, int r, int s, bool append_one, const MatrixView& rows) {
  require(x.shape.c > 0, kPatches, "x has no channels");
  const std::int64_t width = std::int64_t{r} * s * std::int64_t{x.shape.c} + (append_one ? 1 : 0);
  if (rows.columns != width)
    refuse(kPatches, "rows has " + std::to_string(rows.columns) + " columns, a patch of " +
                         std::to_string(r) + "x" + std::to_string(s) + " pixels and " +
                         std::to_string(x.shape.c) + " channels has " +
                         std::to_string(width - (append_one ? 1 : 0)) +
                         (append_one ? " and a 1" : ""));
}

}  // namespace

void gather_patches(const Stream& stream, ConstTensorView x, int r, int s,
                    const GatherPatchesOptions& o, const std::uint64_t* seed_and_step,
                    MatrixView rows) {
  check_tensor(kPatches, "x", x);
  check_matrix(kPatches, "rows", rows);
  constexpr int kFilter = 1 << 15;  // so that R·S·C is counted without overflow
  if (r < 1 || s < 1 || r > kFilter || s > kFilter)
    refuse(kPatches, "the filter is " + std::to_string(r) + "x" + std::to_string(s) + ", 1 to " +
                         std::to_string(kFilter) + " are possible");
  check_rows(x, r, s, o.append_one, rows);
  const Conv2dGeometry& g = o.geometry;
  const Shape y = conv2d_output_shape(x.shape, ConstFilterView(nullptr, r, s, x.shape.c, 1), g);
  constexpr std::int64_t kProducts = std::int64_t{1} << 62;
  if (rows.rows > 0 && y.pixels() >= kProducts / rows.rows)
    refuse(kPatches, std::to_string(rows.rows) + " rows of " + std::to_string(y.pixels()) +
                         " positions: their product is too large");
  require(seed_and_step || rows.rows >= y.pixels(), kPatches,
          "there are more positions than rows, and no seed to choose by");
  GatherPatches p;
  Conv2dProblem& c = p.problem;
  c.n = x.shape.n, c.h = x.shape.h, c.w = x.shape.w, c.c = x.shape.c;
  c.p = y.h, c.q = y.w, c.r = r, c.s = s;
  c.stride_h = g.stride_h, c.stride_w = g.stride_w;
  c.pad_h = g.pad_h, c.pad_w = g.pad_w;
  c.dilation_h = g.dilation_h, c.dilation_w = g.dilation_w;
  p.x = x.data;
  p.ldx = x.ld;
  p.positions = rows.rows;
  p.append_one = o.append_one;
  p.seed_and_step = seed_and_step;
  p.stream = o.stream;
  p.scale = o.scale;
  p.rows = rows.data;
  p.ld = rows.ld;
  const CurrentDevice current(stream.device());
  kernels_of(stream).gather_patches(stream.native(), p);
}

}  // namespace curvseg
