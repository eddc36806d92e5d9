// Pooling: GB/s and the part of the measured triad bandwidth.
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
  PoolWindow window = {};
};

constexpr Case kCases[] = {
    {"8x96x96x16_2x2", {8, 96, 96, 16}},
    {"8x48x48x32_2x2", {8, 48, 48, 32}},
    {"8x24x24x64_2x2", {8, 24, 24, 64}},
    {"4x96x96x64_2x2", {4, 96, 96, 64}},
    {"1x256x256x64_2x2", {1, 256, 256, 64}},
    {"1x512x512x64_2x2", {1, 512, 512, 64}},
    {"8x45x60x37_2x2", {8, 45, 60, 37}},
    {"8x96x96x32_3x3_stride2", {8, 96, 96, 32}, {3, 3, 2, 2, 1, 1}},
};

double bytes(const Shape& shape, double each = sizeof(float)) {
  return each * static_cast<double>(shape.elements());
}

// ---- the reference -----------------------------------------------------------------------------

reference::Layer layer_of(reference::LayerKind kind, const PoolWindow& window) {
  reference::Layer layer;
  layer.kind = kind;
  layer.r = window.r, layer.s = window.s;
  layer.stride_h = window.stride_h, layer.stride_w = window.stride_w;
  layer.pad_h = window.pad_h, layer.pad_w = window.pad_w;
  return layer;
}

reference::Extents extents(const Shape& s) { return {s.n, s.h, s.w, s.c}; }

/// For every output, the place of the first largest input.
std::vector<std::size_t> winners(const Shape& x, const Shape& y, const PoolWindow& window,
                                 const std::vector<float>& values) {
  std::vector<std::size_t> winner(static_cast<std::size_t>(y.elements()));
  std::vector<bool> found(winner.size(), false);
  reference::network_detail::for_each_in_window(layer_of(reference::LayerKind::kMaxPool, window),
                                                extents(x), extents(y),
                                                [&](std::size_t o, std::size_t i) {
                                                  if (!found[o] || values[i] > values[winner[o]])
                                                    winner[o] = i;
                                                  found[o] = true;
                                                });
  return winner;
}

template <class Visit>
void for_each_average(const Shape& x, const Shape& y, const PoolWindow& window, Visit visit) {
  reference::network_detail::for_each_coefficient(
      layer_of(reference::LayerKind::kAveragePool, window), extents(x), extents(y),
      [&](std::size_t o, std::size_t i, double a, double) { visit(o, i, a); });
}

// ---- recipes: tensor 0 is x, 1 is y, 2 is a mask -----------------------------------------------

Recipe max_forward(const Shape& x, const PoolWindow& window, bool keeps_index) {
  const Shape y = pool_output_shape(x, window);
  Recipe r;
  r.tensors = {x, y};
  r.index_count = keeps_index ? y.elements() : 0;
  r.bytes = bytes(x) + bytes(y) + (keeps_index ? bytes(y, sizeof(std::uint16_t)) : 0.0);
  r.run = [window, keeps_index](const Stream& stream, Set& s) {
    max_pool_forward(stream, s[0], window, s[1], keeps_index ? s.index.data() : nullptr);
  };
  r.result = 1;
  r.expected = [r, x, y, window] {
    const std::vector<float> values = r.start(0);
    std::vector<double> result;
    for (const std::size_t i : winners(x, y, window, values)) result.push_back(values[i]);
    return result;
  };
  return r;
}

Recipe max_backward(const Shape& x, const PoolWindow& window, bool masked) {
  const Shape y = pool_output_shape(x, window);
  Recipe r;
  r.tensors = {x, y};
  if (masked) r.tensors.push_back(x);
  r.index_count = y.elements();
  r.bytes = (masked ? 2.0 : 1.0) * bytes(x) + bytes(y) + bytes(y, sizeof(std::uint16_t));
  r.prepare = [y, window](const Stream& stream, Set& s) {
    const Tensor unused(stream.device(), y);
    max_pool_forward(stream, s[0], window, unused, s.index.data());
    stream.synchronise();
  };
  r.run = [window, masked](const Stream& stream, Set& s) {
    const GradientOptions options{.mask = masked ? ConstTensorView(s[2]) : ConstTensorView()};
    max_pool_backward(stream, s[1], s.index.data(), window, options, s[0]);
  };
  r.expected = [r, x, y, window, masked] {
    const std::vector<float> dy = r.start(1);
    const std::vector<float> mask = masked ? r.start(2) : std::vector<float>();
    std::vector<double> dx(static_cast<std::size_t>(x.elements()));
    const std::vector<std::size_t> winner = winners(x, y, window, r.start(0));
    for (std::size_t o = 0; o < winner.size(); ++o)
      if (!masked || mask[winner[o]] > 0.0f) dx[winner[o]] += dy[o];
    return dx;
  };
  return r;
}

Recipe average(const Shape& x, const PoolWindow& window, bool backward) {
  const Shape y = pool_output_shape(x, window);
  Recipe r;
  r.tensors = {x, y};
  r.bytes = bytes(x) + bytes(y);
  r.run = [window, backward](const Stream& stream, Set& s) {
    if (backward)
      average_pool_backward(stream, s[1], window, false, {}, s[0]);
    else
      average_pool_forward(stream, s[0], window, false, s[1]);
  };
  r.result = backward ? 0 : 1;
  r.tolerance = 1e-5;  // a third is not exact
  r.expected = [r, x, y, window, backward] {
    const std::vector<float> from = r.start(backward ? 1 : 0);
    std::vector<double> to(static_cast<std::size_t>((backward ? x : y).elements()));
    for_each_average(x, y, window, [&](std::size_t o, std::size_t i, double a) {
      to[backward ? i : o] += a * from[backward ? o : i];
    });
    return to;
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  const auto add_all = [](const char* pass, auto recipe) {
    for (const Case& c : kCases)
      add_recipe(
          std::string(pass) + "/" + c.name,
          [recipe, window = c.window](const Shape& x) { return recipe(x, window); }, c.x);
  };
  using Window = PoolWindow;
  add_all("max_forward", [](const Shape& x, const Window& w) { return max_forward(x, w, true); });
  add_all("max_inference",
          [](const Shape& x, const Window& w) { return max_forward(x, w, false); });
  add_all("max_backward",
          [](const Shape& x, const Window& w) { return max_backward(x, w, false); });
  add_all("max_backward_relu",
          [](const Shape& x, const Window& w) { return max_backward(x, w, true); });
  add_all("average_forward", [](const Shape& x, const Window& w) { return average(x, w, false); });
  add_all("average_backward", [](const Shape& x, const Window& w) { return average(x, w, true); });
}

}  // namespace curvseg::perf
