// Pointwise operations and the bias gradient: GB/s and the part of the measured triad bandwidth.
#include <algorithm>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/recipe.hpp"

namespace curvseg::perf {
namespace {

struct Case {
  const char* name;
  Shape x;
};

constexpr Case kCases[] = {
    {"8x96x96x2", {8, 96, 96, 2}},   {"8x96x96x16", {8, 96, 96, 16}},
    {"8x48x48x32", {8, 48, 48, 32}}, {"8x12x12x128", {8, 12, 12, 128}},
    {"4x96x96x64", {4, 96, 96, 64}}, {"1x512x512x64", {1, 512, 512, 64}},
    {"8x45x60x37", {8, 45, 60, 37}},
};

double bytes(const Shape& shape, double streams) {
  return streams * sizeof(float) * static_cast<double>(shape.elements());
}

/// Element by element: result[i] = f(a[i], b[i], channel), over the starting values of tensor 0 and
/// the result's own.
template <class F>
std::vector<double> each(const Recipe& r, F f) {
  const std::vector<float> a = r.start(0), b = r.start(r.result);
  std::vector<double> result(b.size());
  const auto channels = static_cast<std::size_t>(r.tensors[0].c);
  for (std::size_t i = 0; i < b.size(); ++i)
    result[i] = f(static_cast<double>(a[i]), static_cast<double>(b[i]), i % channels);
  return result;
}

Recipe relu_forward_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x};
  r.bytes = bytes(x, 2.0);
  r.run = [](const Stream& stream, Set& s) { relu_forward(stream, s[0], s[1]); };
  r.result = 1;
  r.expected = [r] {
    return each(r, [](double a, double, std::size_t) { return std::max(a, 0.0); });
  };
  return r;
}

Recipe relu_backward_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x};  // y, and the gradient in place
  r.bytes = bytes(x, 3.0);
  r.run = [](const Stream& stream, Set& s) { relu_backward(stream, s[0], s[1], false, s[1]); };
  r.result = 1;
  r.expected = [r] {
    return each(r, [](double a, double b, std::size_t) { return a > 0.0 ? b : 0.0; });
  };
  return r;
}

Recipe copy_recipe(const Shape& x, bool accumulate) {
  Recipe r;
  r.tensors = {x, x};
  r.bytes = bytes(x, accumulate ? 3.0 : 2.0);
  r.run = [accumulate](const Stream& stream, Set& s) {
    copy_tensor(stream, s[0], 0.5f, accumulate, s[1]);
  };
  r.result = 1;
  r.expected = [r, accumulate] {
    return each(r,
                [&](double a, double b, std::size_t) { return 0.5 * a + (accumulate ? b : 0.0); });
  };
  return r;
}

/// Into the first half of the channels of another tensor: what a concatenation costs.
Recipe copy_slice_recipe(const Shape& x) {
  Recipe r;
  const Shape wide{x.n, x.h, x.w, 2 * x.c};
  r.tensors = {x, wide};
  r.bytes = bytes(x, 2.0);
  r.run = [c = x.c](const Stream& stream, Set& s) {
    copy_tensor(stream, s[0], 1.0f, false, s[1].view().channels(0, c));
  };
  r.result = 1;
  r.expected = [r, x] {
    const std::vector<float> from = r.start(0), old = r.start(1);
    std::vector<double> to(old.begin(), old.end());
    const auto c = static_cast<std::size_t>(x.c);
    for (std::size_t i = 0; i < from.size(); ++i) to[i / c * 2 * c + i % c] = from[i];
    return to;
  };
  return r;
}

Recipe add_bias_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, {1, 1, 1, x.c}};
  r.bytes = bytes(x, 2.0);
  r.run = [](const Stream& stream, Set& s) {
    add_bias(stream, s[0], {s[2].data(), s[2].shape().c}, s[1]);
  };
  r.result = 1;
  r.expected = [r] {
    const std::vector<float> bias = r.start(2);
    return each(r, [&](double a, double, std::size_t c) { return a + bias[c]; });
  };
  return r;
}

Recipe fill_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x};
  r.bytes = bytes(x, 1.0);
  r.run = [](const Stream& stream, Set& s) {
    fill(stream, {s[0].data(), s[0].shape().elements()}, 3.0f);
  };
  r.expected = [r] { return each(r, [](double, double, std::size_t) { return 3.0; }); };
  return r;
}

Recipe bias_gradient_recipe(const Shape& x) {
  Recipe r;
  // The third tensor is scratch memory of ample size on every target.
  r.tensors = {x, {1, 1, 1, x.c}, flat(1 << 16)};
  r.bytes = bytes(x, 1.0);
  r.run = [](const Stream& stream, Set& s) {
    const Workspace workspace{s[2].data(), sizeof(float) << 16};
    conv2d_backward_bias(stream, s[0], false, workspace, {s[1].data(), s[1].shape().c});
  };
  r.result = 1;
  r.expected = [r, x] {
    const std::vector<float> dy = r.start(0);
    std::vector<double> db(static_cast<std::size_t>(x.c));
    for (std::size_t i = 0; i < dy.size(); ++i) db[i % db.size()] += dy[i];
    return db;
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  const auto add_all = [](const char* operation, Recipe (*recipe)(const Shape&)) {
    for (const Case& c : kCases) add_recipe(std::string(operation) + "/" + c.name, recipe, c.x);
  };
  add_all("relu_forward", relu_forward_recipe);
  add_all("relu_backward", relu_backward_recipe);
  add_all("copy", [](const Shape& x) { return copy_recipe(x, false); });
  add_all("accumulate", [](const Shape& x) { return copy_recipe(x, true); });
  add_all("copy_to_slice", copy_slice_recipe);
  add_all("add_bias", add_bias_recipe);
  add_all("bias_gradient", bias_gradient_recipe);
  add_all("fill", fill_recipe);
}

}  // namespace curvseg::perf
