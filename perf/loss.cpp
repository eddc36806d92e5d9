// Losses with their gradients, and their curvature times a vector: GB/s and the part of the
// measured triad bandwidth.
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/recipe.hpp"
#include "reference/loss.hpp"

namespace curvseg::perf {
namespace {

struct Case {
  const char* name;
  Shape x;
};

constexpr Case kCases[] = {
    {"8x96x96x2", {8, 96, 96, 2}},     {"8x96x96x3", {8, 96, 96, 3}},
    {"8x96x96x12", {8, 96, 96, 12}},   {"8x96x96x21", {8, 96, 96, 21}},
    {"1x512x512x2", {1, 512, 512, 2}}, {"1x512x512x150", {1, 512, 512, 150}},
    {"256x1x1x10", {256, 1, 1, 10}},   {"256x1x1x1000", {256, 1, 1, 1000}},
};

std::vector<std::int32_t> labels_of(const Shape& x) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(x.pixels()));
  for (std::size_t i = 0; i < labels.size(); ++i)  // every eighth pixel is of no class
    labels[i] = i % 8 == 0 ? -1 : static_cast<std::int32_t>(i * 7 % static_cast<unsigned>(x.c));
  return labels;
}

float labelled(const std::vector<std::int32_t>& labels) {
  float count = 0.0f;
  for (const std::int32_t label : labels) count += label >= 0 ? 1.0f : 0.0f;
  return count;
}

std::vector<double> doubled(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

constexpr int kScratch = 1 << 16;  // floats, ample on every target

/// Tensors: logits, their gradient (or the loss alone), scratch memory. Scalars: denominator, loss.
Recipe cross_entropy_recipe(const Shape& x, bool gradient) {
  Recipe r;
  r.tensors = {x, gradient ? x : flat(1), flat(kScratch)};
  r.labels = labels_of(x);
  r.scalars = {labelled(r.labels), 0.0f};
  r.bytes = sizeof(float) * ((gradient ? 2.0 : 1.0) * static_cast<double>(x.elements()) +
                             static_cast<double>(x.pixels()));
  r.run = [gradient](const Stream& stream, Set& s) {
    const Workspace workspace{s[2].data(), kScratch * sizeof(float)};
    float* loss = gradient ? s.scalars.data() + 1 : s[1].data();
    softmax_cross_entropy(stream, s[0], s.labels.data(), s.scalars.data(), {}, false, workspace,
                          loss, gradient ? TensorView(s[1]) : TensorView());
  };
  r.result = 1;
  r.tolerance = gradient ? 1e-6 : 1e-4;
  r.expected = [r, x, gradient] {
    const reference::Loss loss = reference::cross_entropy(
        {.classes = x.c}, doubled(r.start(0)), r.labels, static_cast<double>(r.scalars[0]));
    return gradient ? loss.gradient : std::vector<double>{loss.value};
  };
  return r;
}

Recipe mean_squared_error_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, x, flat(kScratch)};  // x, target, gradient, scratch memory
  r.scalars = {static_cast<float>(x.elements()), 0.0f};
  r.bytes = sizeof(float) * 3.0 * static_cast<double>(x.elements());
  r.run = [](const Stream& stream, Set& s) {
    const Workspace workspace{s[3].data(), kScratch * sizeof(float)};
    mean_squared_error(stream, s[0], s[1], s.scalars.data(), false, workspace, s.scalars.data() + 1,
                       s[2]);
  };
  r.result = 2;
  r.tolerance = 1e-6;
  r.expected = [r] {
    return reference::mean_squared_error(doubled(r.start(0)), doubled(r.start(1)),
                                         static_cast<double>(r.scalars[0]))
        .gradient;
  };
  return r;
}

enum class Curvature { kHessian, kFisher };

/// Tensors: logits, u, the product. Scalars: denominator.
Recipe cross_entropy_curvature_recipe(const Shape& x, Curvature of) {
  Recipe r;
  r.tensors = {x, x, x};
  r.labels = labels_of(x);
  r.scalars = {labelled(r.labels)};
  r.bytes =
      sizeof(float) * (3.0 * static_cast<double>(x.elements()) + static_cast<double>(x.pixels()));
  r.run = [of](const Stream& stream, Set& s) {
    if (of == Curvature::kHessian)
      softmax_cross_entropy_hessian(stream, s[0], s.labels.data(), s.scalars.data(), {}, s[1],
                                    s[2]);
    else
      softmax_cross_entropy_fisher(stream, s[0], s.labels.data(), nullptr, s.scalars.data(), {},
                                   s[1], s[2]);
  };
  r.result = 2;
  r.tolerance = 1e-5;
  r.expected = [r, x, of] {
    const reference::CrossEntropy loss{.classes = x.c};
    const std::vector<double> logits = doubled(r.start(0)), u = doubled(r.start(1));
    const auto denominator = static_cast<double>(r.scalars[0]);
    return of == Curvature::kHessian
               ? reference::cross_entropy_hessian(loss, logits, r.labels, u, denominator).value
               : reference::cross_entropy_fisher(loss, logits, r.labels, nullptr, &u, denominator)
                     .value;
  };
  return r;
}

/// The denominator of the loss, a sum over the labels.
Recipe label_weight_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {flat(1), flat(kScratch)};
  r.labels = labels_of(x);
  r.bytes = sizeof(std::int32_t) * static_cast<double>(x.pixels());
  r.run = [x](const Stream& stream, Set& s) {
    const Workspace workspace{s[1].data(), kScratch * sizeof(float)};
    label_weight(stream, s.labels.data(), x.pixels(), x.c, {}, false, workspace, s[0].data());
  };
  r.expected = [r] { return std::vector<double>{static_cast<double>(labelled(r.labels))}; };
  return r;
}

}  // namespace

void register_benchmarks() {
  const auto add_all = [](const char* operation, Recipe (*recipe)(const Shape&)) {
    for (const Case& c : kCases) add_recipe(std::string(operation) + "/" + c.name, recipe, c.x);
  };
  add_all("cross_entropy_gradient", [](const Shape& x) { return cross_entropy_recipe(x, true); });
  add_all("cross_entropy", [](const Shape& x) { return cross_entropy_recipe(x, false); });
  add_all("cross_entropy_hessian",
          [](const Shape& x) { return cross_entropy_curvature_recipe(x, Curvature::kHessian); });
  add_all("cross_entropy_fisher",
          [](const Shape& x) { return cross_entropy_curvature_recipe(x, Curvature::kFisher); });
  add_all("mean_squared_error", mean_squared_error_recipe);
  add_all("label_weight", label_weight_recipe);
}

}  // namespace curvseg::perf
