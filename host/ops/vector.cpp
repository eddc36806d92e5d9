// Vector algebra: checks, then kernels/vector.
#include "host/ops/check.hpp"

namespace curvseg {
namespace {

void check_vector(std::string_view op, const char* name, const ConstVectorView& x,
                  const char* other_name, std::int64_t size) {
  check_elements(op, name, x.size);
  if (x.size != size)
    refuse(op, std::string(name) + " has " + std::to_string(x.size) + " elements, " + other_name +
                   " has " + std::to_string(size));
  if (!x.data && x.size > 0)
    refuse(op, std::string(name) + " of " + std::to_string(x.size) + " elements has no memory");
}

void check_count(std::string_view op, const char* what, std::size_t count, int least, int most) {
  if (count < static_cast<std::size_t>(least) || count > static_cast<std::size_t>(most))
    refuse(op, "there are " + std::to_string(count) + " " + what + ", there may be " +
                   std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

void dot_products(const Stream& stream, std::span<const VectorPair> pairs, Workspace workspace,
                  float* result) {
  constexpr const char* kOp = "dot_products";
  check_count(kOp, "pairs", pairs.size(), 0, DotProducts::kMost);
  if (pairs.empty()) return;
  DotProducts p;
  p.count = static_cast<int>(pairs.size());
  p.n = pairs[0].x.size;
  for (std::size_t j = 0; j < pairs.size(); ++j) {
    check_vector(kOp, "x", pairs[j].x, "the first x", p.n);
    check_vector(kOp, "y", pairs[j].y, "x", p.n);
    p.x[j] = pairs[j].x.data;
    p.y[j] = pairs[j].y.data;
  }
  require(result, kOp, "there is no memory for the result");
  p.result = result;
  const Kernels& kernels = kernels_of(stream);
  check_bytes(kOp, workspace, kernels.dot_products_workspace(p));
  p.workspace = static_cast<float*>(workspace.data);
  const CurrentDevice current(stream.device());
  kernels.dot_products(stream.native(), p);
}

void dot_products(const Stream& stream, std::initializer_list<VectorPair> pairs,
                  Workspace workspace, float* result) {
  dot_products(stream, std::span<const VectorPair>(pairs.begin(), pairs.size()), workspace, result);
}

std::size_t dot_products_workspace(const Device& device, std::int64_t size, int pairs) {
  check_elements("dot_products_workspace", "a vector", size);
  check_count("dot_products_workspace", "pairs", static_cast<std::size_t>(pairs), 0,
              DotProducts::kMost);
  DotProducts p;
  p.n = size;
  p.count = pairs;
  return static_cast<std::size_t>(device.target().kernels->dot_products_workspace(p)) *
         sizeof(float);
}

void linear_combination(const Stream& stream, std::span<const VectorTerm> terms, VectorView to) {
  constexpr const char* kOp = "linear_combination";
  check_count(kOp, "terms", terms.size(), 1, LinearCombination::kMost);
  check_vector(kOp, "to", to, "to", to.size);
  LinearCombination p;
  p.terms = static_cast<int>(terms.size());
  p.n = to.size;
  p.to = to.data;
  for (std::size_t j = 0; j < terms.size(); ++j) {
    check_vector(kOp, "x", terms[j].x, "to", to.size);
    p.term[j] = {terms[j].x.data, terms[j].scale, terms[j].coefficient, terms[j].divisor};
  }
  const CurrentDevice current(stream.device());
  kernels_of(stream).linear_combination(stream.native(), p);
}

void linear_combination(const Stream& stream, std::initializer_list<VectorTerm> terms,
                        VectorView to) {
  linear_combination(stream, std::span<const VectorTerm>(terms.begin(), terms.size()), to);
}

void multiply(const Stream& stream, ConstVectorView x, ConstVectorView y, float scale,
              bool accumulate, VectorView to) {
  check_vector("multiply", "to", to, "to", to.size);
  check_vector("multiply", "x", x, "to", to.size);
  check_vector("multiply", "y", y, "to", to.size);
  const CurrentDevice current(stream.device());
  kernels_of(stream).multiply(stream.native(), {.n = to.size,
                                                .x = x.data,
                                                .y = y.data,
                                                .scale = scale,
                                                .accumulate = accumulate,
                                                .to = to.data});
}

void add_damping(const Stream& stream, ConstVectorView v, const float* lambda, ConstVectorView d,
                 float l2, VectorView to) {
  check_vector("add_damping", "to", to, "to", to.size);
  check_vector("add_damping", "v", v, "to", to.size);
  if (d.size != 0 || d.data) check_vector("add_damping", "d", d, "to", to.size);
  const CurrentDevice current(stream.device());
  kernels_of(stream).add_damping(
      stream.native(),
      {.n = to.size, .v = v.data, .lambda = lambda, .d = d.data, .l2 = l2, .to = to.data});
}

}  // namespace curvseg
