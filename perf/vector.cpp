// Vector algebra and the passes of conjugate gradients over flat memory: GB/s and the part of the
// measured triad bandwidth.
#include <cstring>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/recipe.hpp"
#include "reference/vector.hpp"
#include "target.hpp"

namespace curvseg::perf {
namespace {

constexpr int kScratch = 1 << 14;  // floats, ample on every target

double bytes(const Shape& x, double vectors) {
  return vectors * sizeof(float) * static_cast<double>(x.elements());
}
VectorView vector(const Set& s, std::size_t i) { return {s[i].data(), s[i].shape().elements()}; }
Workspace scratch(const Set& s, std::size_t i) {
  return {s[i].data(), sizeof(float) * static_cast<std::size_t>(s[i].shape().elements())};
}

/// result[i] = f(values of tensors 0, 1, … at i), over what they start as.
template <class F>
std::vector<double> each(const Recipe& r, std::size_t tensors, F f) {
  std::vector<std::vector<float>> start;
  start.reserve(tensors);
  for (std::size_t t = 0; t < tensors; ++t) start.push_back(r.start(t));
  std::vector<double> result(start[0].size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::vector<double> at;
    at.reserve(tensors);
    for (const auto& tensor : start) at.push_back(static_cast<double>(tensor[i]));
    result[i] = f(at);
  }
  return result;
}

// ---- vector algebra ----------------------------------------------------------------------------

/// Tensors: four vectors, results, scratch memory.
Recipe dot_products_recipe(const Shape& x, bool six) {
  Recipe r;
  r.tensors = {x, x, x, x, flat(6), flat(kScratch)};
  r.bytes = bytes(x, six ? 4.0 : 2.0);
  r.run = [six](const Stream& stream, Set& s) {
    const VectorView a = vector(s, 0), b = vector(s, 1), c = vector(s, 2), d = vector(s, 3);
    if (six)
      dot_products(stream, {{a, b}, {a, c}, {a, d}, {b, c}, {b, d}, {c, d}}, scratch(s, 5),
                   s[4].data());
    else
      dot_products(stream, {{a, b}}, scratch(s, 5), s[4].data());
  };
  r.result = 4;
  r.expected = [r, six] {
    std::vector<double> result;
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = i + 1; j < 4; ++j)
        result.push_back(reference::dot(r.start(i), r.start(j)).value);
    const std::vector<float> before = r.start(4);
    if (!six) std::copy(before.begin() + 1, before.end(), result.begin() + 1);
    return result;
  };
  return r;
}

/// Tensors: the vectors, the first one overwritten.
Recipe linear_combination_recipe(const Shape& x, std::size_t terms) {
  static constexpr float kScales[] = {1.0f, -2.0f, 3.0f, 0.5f};
  Recipe r;
  r.tensors.assign(terms, x);
  r.scalars = {1.0f};
  r.bytes = bytes(x, static_cast<double>(terms) + 1.0);
  r.run = [terms](const Stream& stream, Set& s) {
    std::vector<VectorTerm> sum;
    sum.reserve(terms);
    for (std::size_t j = 0; j < terms; ++j)
      sum.push_back({vector(s, j), kScales[j], s.scalars.data()});
    linear_combination(stream, sum, vector(s, 0));
  };
  r.expected = [r, terms] {
    return each(r, terms, [&](const std::vector<double>& at) {
      double sum = 0.0;
      for (std::size_t j = 0; j < terms; ++j) sum += static_cast<double>(kScales[j]) * at[j];
      return sum;
    });
  };
  return r;
}

Recipe multiply_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, x};
  r.bytes = bytes(x, 3.0);
  r.run = [](const Stream& stream, Set& s) {
    multiply(stream, vector(s, 0), vector(s, 1), 1.0f, false, vector(s, 2));
  };
  r.result = 2;
  r.expected = [r] {
    return each(r, 2, [](const std::vector<double>& at) { return at[0] * at[1]; });
  };
  return r;
}

// ---- conjugate gradients -----------------------------------------------------------------------

constexpr float kAlpha = -0.5f, kBeta = 0.25f;

/// Where a solve stands after its first iteration.
std::vector<float> cg_scalars() {
  const CgScalars scalars{
      .alpha = kAlpha, .beta = kBeta, .rz = 1.0, .rr = 1.0, .iteration = 1, .slot = -1};
  std::vector<float> result(sizeof scalars / sizeof(float));
  std::memcpy(result.data(), &scalars, sizeof scalars);
  return result;
}

enum CgTensor : std::size_t { kX, kR, kP, kProduct, kB, kWeights, kPhi, kCgScratch };

/// One kernel. Scalars are written again before each run: an iteration ends in it.
Recipe cg_recipe(const Shape& x, void (*Kernels::*kernel)(StreamHandle, const CgProblem&),
                 bool weighted, double vectors, CgTensor result,
                 double (*formula)(const std::vector<double>&)) {
  static const std::vector<float> kStart = cg_scalars();
  Recipe r;
  r.tensors = {x, x, x, x, x, x, flat(8), flat(kScratch)};
  r.scalars = kStart;
  r.bytes = bytes(x, vectors);
  r.run = [kernel, weighted](const Stream& stream, Set& s) {
    s.scalars.upload(stream, kStart.data(), s.scalars.size());
    CgProblem p;
    p.n = s[kX].shape().elements();
    p.x = s[kX].data(), p.r = s[kR].data(), p.p = s[kP].data();
    p.product = s[kProduct].data(), p.b = s[kB].data();
    p.weights = weighted ? s[kWeights].data() : nullptr;
    p.scalars = reinterpret_cast<CgScalars*>(s.scalars.data());
    p.phi = reinterpret_cast<double*>(s[kPhi].data());
    p.workspace = reinterpret_cast<double*>(s[kCgScratch].data());
    p.max_iterations = 3;
    const CurrentDevice current(stream.device());
    (stream.device().target().kernels->*kernel)(stream.native(), p);
  };
  r.result = result;
  r.expected = [r, formula] { return each(r, 6, formula); };
  return r;
}

double moved(const std::vector<double>& at) {
  return at[kX] + static_cast<double>(kAlpha) * at[kP];
}
double residual(const std::vector<double>& at) { return at[kB] - at[kProduct]; }
double unmoved(const std::vector<double>& at) { return at[kX]; }
double direction(const std::vector<double>& at) {
  return at[kR] + static_cast<double>(kBeta) * at[kP];
}
double weighted_direction(const std::vector<double>& at) {
  return at[kWeights] * at[kR] + static_cast<double>(kBeta) * at[kP];
}

}  // namespace

void register_benchmarks() {
  for (const int n : {481'792, 7'700'000, 31'000'000}) {  // U-Nets of width 16, 64; the original
    const std::string size = "/" + std::to_string(n);
    const auto recipe = [&](const char* name, auto make) {
      add_recipe(name + size, make, flat(n));
    };
    const auto cg = [&](const char* name, void (*Kernels::*kernel)(StreamHandle, const CgProblem&),
                        bool weighted, double vectors, CgTensor result,
                        double (*formula)(const std::vector<double>&)) {
      recipe(name, [=](const Shape& x) {
        return cg_recipe(x, kernel, weighted, vectors, result, formula);
      });
    };
    recipe("dot_products_1", [](const Shape& x) { return dot_products_recipe(x, false); });
    recipe("dot_products_6", [](const Shape& x) { return dot_products_recipe(x, true); });
    recipe("linear_combination_2", [](const Shape& x) { return linear_combination_recipe(x, 2); });
    recipe("linear_combination_4", [](const Shape& x) { return linear_combination_recipe(x, 4); });
    recipe("multiply", multiply_recipe);
    cg("cg_step_length", &Kernels::cg_step_length, false, 2.0, kX, unmoved);
    cg("cg_step", &Kernels::cg_step, false, 7.0, kX, moved);
    cg("cg_step_weighted", &Kernels::cg_step, true, 8.0, kX, moved);
    cg("cg_residual", &Kernels::cg_residual, false, 4.0, kR, residual);
    cg("cg_direction", &Kernels::cg_direction, false, 3.0, kP, direction);
    cg("cg_direction_weighted", &Kernels::cg_direction, true, 4.0, kP, weighted_direction);
  }
}

}  // namespace curvseg::perf
