// Patches at random positions, of which the input factors of FOOF are made: GB/s and the part of
// the measured triad bandwidth.
#include <algorithm>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "curvseg/optim.hpp"
#include "perf/support/recipe.hpp"
#include "reference/patches.hpp"

namespace curvseg::perf {
namespace {

constexpr int kPositions = FoofOptions{}.positions;

/// Tensor 0 is x, tensor 1 the rows of its 3x3 patches. The seed is in the scalars.
Recipe patches_recipe(const Shape& x) {
  const int width = 9 * x.c;
  Recipe r;
  r.tensors = {x, {1, 1, kPositions, width}};
  r.scalars = {1.0f, 0.0f, 2.0f, 0.0f};  // two numbers of 64 bits, whatever they are
  const double written = static_cast<double>(kPositions) * width;
  r.bytes = sizeof(float) * (written + std::min(written, static_cast<double>(x.elements())));
  r.run = [width](const Stream& stream, Set& s) {
    gather_patches(stream, s[0], 3, 3, {.geometry = {.pad_h = 1, .pad_w = 1}},
                   reinterpret_cast<const std::uint64_t*>(s.scalars.data()),
                   {s[1].data(), kPositions, width});
  };
  r.result = 1;
  r.tolerance = 1e-5;
  // Of a small image every position is a row, whatever the seed.
  r.expected = [r, x] {
    reference::Conv2d g;
    g.n = x.n, g.h = x.h, g.w = x.w, g.c = x.c, g.k = 1, g.r = g.s = 3;
    g.pad_h = g.pad_w = 1;
    return reference::patch_rows(g, r.start(0),
                                 reference::patch_positions(x.pixels(), kPositions, 0, 0, 0),
                                 kPositions, false, 1.0);
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  for (const Shape& x : {Shape{8, 96, 96, 1}, Shape{8, 96, 96, 16}, Shape{8, 48, 48, 32},
                         Shape{8, 24, 24, 64}, Shape{8, 96, 96, 12}, Shape{4, 96, 96, 64}})
    add_recipe("gather/" + std::to_string(x.n) + "x" + std::to_string(x.h) + "x" +
                   std::to_string(x.w) + "x" + std::to_string(x.c) + "_3x3",
               patches_recipe, x);
}

}  // namespace curvseg::perf
