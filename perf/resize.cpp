// Bilinear resizing: GB/s and the part of the measured triad bandwidth.
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/recipe.hpp"
#include "reference/network.hpp"

namespace curvseg::perf {
namespace {

struct Case {
  const char* name;
  Shape x;
  double scale;
};

constexpr Case kCases[] = {
    {"8x12x12x128_to_2x", {8, 12, 12, 128}, 2.0},   {"8x24x24x64_to_2x", {8, 24, 24, 64}, 2.0},
    {"8x48x48x32_to_2x", {8, 48, 48, 32}, 2.0},     {"4x48x48x128_to_2x", {4, 48, 48, 128}, 2.0},
    {"1x256x256x64_to_2x", {1, 256, 256, 64}, 2.0}, {"8x24x24x2_to_4x", {8, 24, 24, 2}, 4.0},
    {"8x31x40x21_to_1.45x", {8, 31, 40, 21}, 1.45}, {"8x96x96x16_to_0.5x", {8, 96, 96, 16}, 0.5},
};

Shape scaled(const Shape& x, double scale) {
  return {x.n, static_cast<int>(x.h * scale), static_cast<int>(x.w * scale), x.c};
}

/// Tensor 0 is x, 1 is y.
Recipe bilinear(const Shape& x, double scale, bool backward) {
  const Shape y = scaled(x, scale);
  Recipe r;
  r.tensors = {x, y};
  r.bytes = sizeof(float) * static_cast<double>(x.elements() + y.elements());
  r.run = [backward](const Stream& stream, Set& s) {
    if (backward)
      bilinear_backward(stream, s[1], {}, s[0]);
    else
      bilinear_forward(stream, s[0], s[1]);
  };
  r.result = backward ? 0 : 1;
  r.tolerance = 1e-4;  // positions are float32 numbers of pixels
  r.expected = [r, x, y, backward] {
    const std::vector<float> from = r.start(backward ? 1 : 0);
    std::vector<double> to(static_cast<std::size_t>((backward ? x : y).elements()));
    reference::Layer layer;
    layer.kind = reference::LayerKind::kBilinear;
    reference::network_detail::for_each_coefficient(
        layer, {x.n, x.h, x.w, x.c}, {y.n, y.h, y.w, y.c},
        [&](std::size_t o, std::size_t i, double a, double) {
          to[backward ? i : o] += a * from[backward ? o : i];
        });
    return to;
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  for (const bool backward : {false, true})
    for (const Case& c : kCases)
      add_recipe(
          std::string(backward ? "backward/" : "forward/") + c.name,
          [backward, scale = c.scale](const Shape& x) { return bilinear(x, scale, backward); },
          c.x);
}

}  // namespace curvseg::perf
