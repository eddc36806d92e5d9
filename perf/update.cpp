// Parameter updates over flat memory: GB/s and the part of the measured triad bandwidth.
#include <cmath>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/recipe.hpp"
#include "reference/update.hpp"
#include "target.hpp"

namespace curvseg::perf {
namespace {

constexpr float kRate = 0.01f;
constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;

/// As UpdateScalars lies in memory: the first step, without clipping.
std::vector<float> first_step() { return {kRate, 1.0f - kBeta1, 1.0f - kBeta2, 0.0f}; }

const UpdateScalars* scalars(const Set& s) {
  return reinterpret_cast<const UpdateScalars*>(s.scalars.data());
}

template <class Params>
void enqueue(const Stream& stream, curvseg::Operation<Params> Kernels::*kernel, const Params& p) {
  const CurrentDevice current(stream.device());
  (stream.device().target().kernels->*kernel)(stream.native(), p);
}

void enqueue_adam(const Stream& stream, const Set& s) {
  AdamUpdate p;
  p.n = s[0].shape().elements();
  p.theta = s[0].data();
  p.grad = s[1].data();
  p.m = s[2].data();
  p.v = s[3].data();
  p.scalars = scalars(s);
  p.beta1 = kBeta1, p.beta2 = kBeta2, p.epsilon = kEpsilon;
  enqueue(stream, &Kernels::adam_update, p);
}

/// Tensors: theta, grad, m, v.
Recipe adam_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, x, x};
  r.scalars = first_step();
  r.bytes = 7.0 * sizeof(float) * static_cast<double>(x.elements());
  r.prepare = [n = x.elements()](const Stream& stream, Set& s) {
    fill(stream, {s[2].data(), n}, 0.0f);
    fill(stream, {s[3].data(), n}, 0.0f);
  };
  r.run = enqueue_adam;
  r.tolerance = 1e-5;
  r.expected = [r] {
    const std::vector<float> theta = r.start(0), grad = r.start(1);
    const reference::Step step{.learning_rate = static_cast<double>(kRate)};
    std::vector<double> result;
    for (std::size_t i = 0; i < theta.size(); ++i)
      result.push_back(
          reference::adam(step, kBeta1, kBeta2, kEpsilon, 1, theta[i], grad[i], 0, 0).theta.value);
    return result;
  };
  return r;
}

void enqueue_sgd(const Stream& stream, const Set& s, float momentum) {
  SgdUpdate p;
  p.n = s[0].shape().elements();
  p.theta = s[0].data();
  p.grad = s[1].data();
  p.momentum_buffer = momentum != 0.0f ? s[2].data() : nullptr;
  p.scalars = scalars(s);
  p.momentum = momentum;
  enqueue(stream, &Kernels::sgd_update, p);
}

/// Tensors: theta, grad, and with momentum its buffer.
Recipe sgd_recipe(const Shape& x, float momentum) {
  Recipe r;
  r.tensors = {x, x};
  if (momentum != 0.0f) r.tensors.push_back(x);
  r.scalars = first_step();
  r.bytes = (momentum != 0.0f ? 5.0 : 3.0) * sizeof(float) * static_cast<double>(x.elements());
  r.run = [momentum](const Stream& stream, Set& s) { enqueue_sgd(stream, s, momentum); };
  r.tolerance = 1e-5;
  r.expected = [r, momentum] {
    const std::vector<float> theta = r.start(0), grad = r.start(1);
    const std::vector<float> buffer =
        momentum != 0.0f ? r.start(2) : std::vector<float>(theta.size());
    const reference::Step step{.learning_rate = static_cast<double>(kRate)};
    std::vector<double> result;
    for (std::size_t i = 0; i < theta.size(); ++i)
      result.push_back(
          reference::sgd(step, static_cast<double>(momentum), false, theta[i], grad[i], buffer[i])
              .theta.value);
    return result;
  };
  return r;
}

/// Tensors: grad, m, v, the direction.
Recipe adam_direction_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, x, x};
  r.scalars = first_step();
  r.bytes = 6.0 * sizeof(float) * static_cast<double>(x.elements());
  r.prepare = [n = x.elements()](const Stream& stream, Set& s) {
    fill(stream, {s[1].data(), n}, 0.0f);
    fill(stream, {s[2].data(), n}, 0.0f);
  };
  r.run = [](const Stream& stream, Set& s) {
    AdamDirection p;
    p.n = s[0].shape().elements();
    p.grad = s[0].data();
    p.m = s[1].data();
    p.v = s[2].data();
    p.to = s[3].data();
    p.scalars = scalars(s);
    p.beta1 = kBeta1, p.beta2 = kBeta2, p.epsilon = kEpsilon;
    enqueue(stream, &Kernels::adam_direction, p);
  };
  r.result = 3;
  r.tolerance = 1e-5;
  r.expected = [r] {  // θ − d from θ = 0 at a rate of 1
    std::vector<double> result;
    for (const float grad : r.start(0))
      result.push_back(
          -reference::adam({.learning_rate = 1.0}, kBeta1, kBeta2, kEpsilon, 1, 0, grad, 0, 0)
               .theta.value);
    return result;
  };
  return r;
}

constexpr float kGamma = 0.5f, kSmallest = 0.25f;

/// Tensors: theta, grad, m, the diagonal.
Recipe damped_diagonal_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, x, x, x};
  r.scalars = first_step();
  r.bytes = 6.0 * sizeof(float) * static_cast<double>(x.elements());
  r.run = [](const Stream& stream, Set& s) {
    DampedDiagonalUpdate p;
    p.n = s[0].shape().elements();
    p.theta = s[0].data();
    p.grad = s[1].data();
    p.m = s[2].data();
    p.h = s[3].data();
    p.scalars = scalars(s);
    p.beta1 = kBeta1, p.gamma = kGamma, p.epsilon = kSmallest;
    enqueue(stream, &Kernels::damped_diagonal_update, p);
  };
  r.tolerance = 1e-5;
  r.expected = [r] {
    const std::vector<float> theta = r.start(0), grad = r.start(1), m = r.start(2), h = r.start(3);
    const reference::DampedDiagonal options{
        .beta1 = kBeta1,
        .gamma = kGamma,
        .epsilon = kSmallest,
        .largest = 1.0,
        .bias_correction1 = static_cast<double>(first_step()[1])};
    std::vector<double> result;
    for (std::size_t i = 0; i < theta.size(); ++i)
      result.push_back(reference::damped_diagonal({.learning_rate = static_cast<double>(kRate)},
                                                  options, theta[i], grad[i], m[i], h[i])
                           .theta.value);
    return result;
  };
  return r;
}

constexpr int kScratch = 1 << 16;  // floats, ample on every target

/// Tensors: x, the sum, scratch memory.
Recipe squared_norm_recipe(const Shape& x) {
  Recipe r;
  r.tensors = {x, flat(1), flat(kScratch)};
  r.bytes = sizeof(float) * static_cast<double>(x.elements());
  r.run = [](const Stream& stream, Set& s) {
    SquaredNorm p;
    p.x = s[0].data();
    p.n = s[0].shape().elements();
    p.norm = s[1].data();
    p.workspace = s[2].data();
    enqueue(stream, &Kernels::squared_norm, p);
  };
  r.result = 1;
  r.expected = [r] {
    double sum = 0.0;
    for (const float value : r.start(0)) sum += static_cast<double>(value) * value;
    return std::vector<double>{sum};
  };
  return r;
}

}  // namespace

void register_benchmarks() {
  for (const int n : {481'792, 7'700'000, 31'000'000}) {  // U-Nets of width 16, 64; the original
    const std::string size = "/" + std::to_string(n);
    add_recipe(
        "sgd" + size, [](const Shape& x) { return sgd_recipe(x, 0.0f); }, flat(n));
    add_recipe(
        "sgd_momentum" + size, [](const Shape& x) { return sgd_recipe(x, 0.9f); }, flat(n));
    add_recipe("adam" + size, adam_recipe, flat(n));
    add_recipe("adam_direction" + size, adam_direction_recipe, flat(n));
    add_recipe("damped_diagonal" + size, damped_diagonal_recipe, flat(n));
    add_recipe("squared_norm" + size, squared_norm_recipe, flat(n));
  }
}

}  // namespace curvseg::perf
