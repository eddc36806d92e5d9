// A network's forward and backward pass in double precision, layer by layer as the formulas are
// written. Knows nothing of the kernels or of the library's graph.
//
// Every number carries a bound on how far a float32 computation may be from it: rounding errors
// √n·eps·Σ|a·b| of each sum of n terms, carried through the layers after it as independent errors
// are, by the root of the sum of squares (added up in magnitude they grow by √fan_in a layer, and
// after six layers bound nothing). Where that leaves the sign of a ReLU's input or the winner of a
// pooling open, the bound of the gradient covers both.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "reference/conv2d.hpp"

namespace curvseg::reference {

enum class LayerKind {
  kInput,
  kConv,
  kConvTranspose,
  kMaxPool,
  kAveragePool,
  kBilinear,
  kConcat,
  kAdd,
  kRelu
};

struct Layer {
  LayerKind kind = LayerKind::kInput;
  std::vector<int> inputs;
  int like = -1;     // size of a transposed convolution or resizing
  int channels = 0;  // of the output
  int r = 1, s = 1, stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation = 1;
  bool relu = false;
  bool flatten = false;
  bool count_include_pad = false;
  std::int64_t weight = -1, bias = -1;  // offsets in theta
};

struct Network {
  std::vector<Layer> layers;  // the first is the input, the last the output
  std::int64_t parameters = 0;
};

struct Extents {
  int n = 0, h = 0, w = 0, c = 0;
  std::size_t size() const { return Conv2d::size(n, h, w, c); }
};

/// Numbers and the bounds of their errors.
struct Numbers {
  std::vector<double> value, error;
  explicit Numbers(std::size_t n = 0) : value(n), error(n) {}
  explicit Numbers(std::vector<double> exact) : value(std::move(exact)), error(value.size()) {}
};

/// Sums of products of such numbers.
class NumberSums {
 public:
  explicit NumberSums(std::size_t n = 0) : sums_(n), carried_(n) {}

  void add(std::size_t i, double a, double a_error, double b, double b_error) {
    sums_.add(i, a * b);
    carried_[i] += a * a * b_error * b_error + b * b * a_error * a_error;
  }
  void add(std::size_t i, const Numbers& a, std::size_t j, double b = 1.0, double b_error = 0.0) {
    add(i, a.value[j], a.error[j], b, b_error);
  }
  /// The gradient may or may not get this.
  void add_doubt(std::size_t i, double much) { carried_[i] += much * much; }

  Numbers finish(double& largest) const {
    Numbers result(sums_.value);
    constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
    for (std::size_t i = 0; i < carried_.size(); ++i) {
      const double rounding = std::sqrt(sums_.terms[i]) * kEpsilon * sums_.magnitude[i];
      result.error[i] = std::sqrt(carried_[i] + rounding * rounding);
      largest = std::max(largest, sums_.magnitude[i]);
    }
    return result;
  }

 private:
  Sums sums_;
  std::vector<double> carried_;  // squares
};

/// A forward pass and what its derivative depends on.
struct Pass {
  std::vector<Extents> extents;
  std::vector<Numbers> value;
  std::vector<std::vector<bool>> passes;         // per ReLU output: its input was positive
  std::vector<std::vector<bool>> in_doubt;       // … but a float32 pass may see it otherwise
  std::vector<std::vector<std::size_t>> winner;  // per output of a max pooling: its input
  std::vector<std::vector<std::pair<std::size_t, std::size_t>>> rivals;  // (output, other input)
  double largest = 0.0;  // Σ|a·b| of any sum: with whole numbers, all is exact below 2^24
};

namespace network_detail {

inline std::size_t index(const Extents& e, int n, int h, int w, int c) {
  return ((static_cast<std::size_t>(n) * e.h + h) * e.w + w) * e.c + c;
}

inline Conv2d problem(const Layer& layer, const Extents& x, int k) {
  Conv2d g{x.n, x.h, x.w, x.c, k, layer.r, layer.s};
  if (layer.flatten) g.c = x.h * x.w * x.c, g.h = g.w = 1;
  g.stride_h = layer.stride_h, g.stride_w = layer.stride_w;
  g.pad_h = layer.pad_h, g.pad_w = layer.pad_w;
  g.dilation_h = g.dilation_w = layer.dilation;
  return g;
}

inline Extents output_extents(const Layer& layer, const std::vector<Extents>& all) {
  const Extents& x = all[static_cast<std::size_t>(layer.inputs[0])];
  const Extents like = layer.like < 0 ? x : all[static_cast<std::size_t>(layer.like)];
  switch (layer.kind) {
    case LayerKind::kConv: {
      const Conv2d g = problem(layer, x, layer.channels);
      return {x.n, g.p(), g.q(), layer.channels};
    }
    case LayerKind::kMaxPool:
    case LayerKind::kAveragePool:
      return {x.n, Conv2d::extent(x.h, layer.r, layer.stride_h, layer.pad_h, 1),
              Conv2d::extent(x.w, layer.s, layer.stride_w, layer.pad_w, 1), x.c};
    default:
      return {x.n, like.h, like.w, layer.channels};
  }
}

/// visit(x index, w index, y index) for every product of a convolution of either kind.
template <class Visit>
void for_each_weight(const Layer& layer, const Extents& x, const Extents& y, Visit visit) {
  if (layer.kind == LayerKind::kConv) {
    for_each_product(problem(layer, x, y.c), visit);
  } else {  // the convolution of which this is the adjoint leads from y to x
    for_each_product(problem(layer, y, x.c),
                     [&](std::size_t i, std::size_t j, std::size_t o) { visit(o, j, i); });
  }
}

/// visit(output index, input index) for every element in a window, rows first.
template <class Visit>
void for_each_in_window(const Layer& layer, const Extents& x, const Extents& y, Visit visit) {
  for (int n = 0; n < y.n; ++n)
    for (int p = 0; p < y.h; ++p)
      for (int q = 0; q < y.w; ++q)
        for (int c = 0; c < y.c; ++c)
          for (int r = 0; r < layer.r; ++r)
            for (int s = 0; s < layer.s; ++s) {
              const int h = p * layer.stride_h - layer.pad_h + r;
              const int w = q * layer.stride_w - layer.pad_w + s;
              if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
              visit(index(y, n, p, q, c), index(x, n, h, w, c));
            }
}

struct Taps {
  int low, high;
  double fraction;  // of high
};

inline Taps bilinear_taps(int i, int in, int out) {
  const double at = std::clamp((i + 0.5) * in / out - 0.5, 0.0, in - 1.0);
  const int low = std::min(static_cast<int>(at), in - 1);
  return {low, std::min(low + 1, in - 1), at - low};
}

/// visit(output index, input index, coefficient, its error) for every linear layer without weights.
template <class Visit>
void for_each_coefficient(const Layer& layer, const Extents& x, const Extents& y, Visit visit) {
  if (layer.kind == LayerKind::kAveragePool) {
    std::vector<int> count(y.size(), layer.count_include_pad ? layer.r * layer.s : 0);
    if (!layer.count_include_pad)
      for_each_in_window(layer, x, y, [&](std::size_t o, std::size_t) { ++count[o]; });
    for_each_in_window(layer, x, y,
                       [&](std::size_t o, std::size_t i) { visit(o, i, 1.0 / count[o], 0.0); });
    return;
  }
  // Bilinear: positions come out of float32 arithmetic in pixels.
  const double error = 2.0 * std::numeric_limits<float>::epsilon() * std::max({x.h, x.w, y.h, y.w});
  for (int n = 0; n < y.n; ++n)
    for (int p = 0; p < y.h; ++p)
      for (int q = 0; q < y.w; ++q) {
        const Taps rows = bilinear_taps(p, x.h, y.h), columns = bilinear_taps(q, x.w, y.w);
        for (const auto& [h, a] :
             {std::pair(rows.low, 1.0 - rows.fraction), std::pair(rows.high, rows.fraction)})
          for (const auto& [w, b] : {std::pair(columns.low, 1.0 - columns.fraction),
                                     std::pair(columns.high, columns.fraction)})
            for (int c = 0; c < y.c; ++c)
              visit(index(y, n, p, q, c), index(x, n, h, w, c), a * b, error);
      }
}

/// visit(input number, output index, input index) for concat, add and ReLU.
template <class Visit>
void for_each_passed_on(const Layer& layer, const std::vector<Extents>& all, const Extents& y,
                        Visit visit) {
  int channel = 0;
  for (std::size_t edge = 0; edge < layer.inputs.size(); ++edge) {
    const Extents& x = all[static_cast<std::size_t>(layer.inputs[edge])];
    const std::size_t pixels = Conv2d::size(y.n, y.h, y.w, 1);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      for (int c = 0; c < x.c; ++c) visit(edge, pixel * y.c + channel + c, pixel * x.c + c);
    if (layer.kind == LayerKind::kConcat) channel += x.c;
  }
}

inline void max_pool(const Layer& layer, const Numbers& x, const Pass* frozen, std::size_t number,
                     Pass& pass) {
  const Extents& from = pass.extents[static_cast<std::size_t>(layer.inputs[0])];
  const Extents& to = pass.extents[number];
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  auto& winner = pass.winner[number];
  winner.assign(to.size(), kNone);
  if (frozen) {
    winner = frozen->winner[number];
  } else {
    for_each_in_window(layer, from, to, [&](std::size_t o, std::size_t i) {
      if (winner[o] == kNone || x.value[i] > x.value[winner[o]]) winner[o] = i;
    });
  }
  Numbers& y = pass.value[number] = Numbers(to.size());
  for (std::size_t o = 0; o < winner.size(); ++o) y.value[o] = x.value[winner[o]];
  for_each_in_window(layer, from, to, [&](std::size_t o, std::size_t i) {
    y.error[o] = std::max(y.error[o], x.error[i]);
    const double reach = x.error[i] + x.error[winner[o]];
    if (i != winner[o] && reach > 0.0 && x.value[i] + reach >= x.value[winner[o]])
      pass.rivals[number].emplace_back(o, i);
  });
}

inline void rectify(const Pass* frozen, std::size_t number, Pass& pass) {
  Numbers& y = pass.value[number];
  auto& passes = pass.passes[number];
  auto& in_doubt = pass.in_doubt[number];
  passes.assign(y.value.size(), false);
  in_doubt.assign(y.value.size(), false);
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    passes[i] = frozen ? frozen->passes[number][i] : y.value[i] > 0.0;
    in_doubt[i] = y.value[i] != 0.0 && std::fabs(y.value[i]) <= y.error[i];
    if (passes[i]) continue;
    if (!in_doubt[i]) y.error[i] = 0.0;
    y.value[i] = 0.0;
  }
}

}  // namespace network_detail

/// Runs the network. With `frozen`, ReLU masks and pooling winners are those of that pass: the
/// smooth function whose derivative backward() gives.
inline Pass forward(const Network& network, const std::vector<double>& theta, const Extents& input,
                    const std::vector<double>& x, const Pass* frozen = nullptr) {
  using namespace network_detail;
  const std::size_t layers = network.layers.size();
  Pass pass;
  pass.extents.resize(layers);
  pass.value.resize(layers);
  pass.passes.resize(layers), pass.in_doubt.resize(layers);
  pass.winner.resize(layers), pass.rivals.resize(layers);
  pass.extents[0] = input;
  pass.value[0] = Numbers(x);
  for (std::size_t l = 1; l < layers; ++l) {
    const Layer& layer = network.layers[l];
    const std::size_t from = static_cast<std::size_t>(layer.inputs[0]);
    const Extents y = pass.extents[l] = output_extents(layer, pass.extents);
    NumberSums sums(y.size());
    if (layer.kind == LayerKind::kMaxPool) {
      max_pool(layer, pass.value[from], frozen, l, pass);
    } else if (layer.weight >= 0) {
      for_each_weight(layer, pass.extents[from], y,
                      [&](std::size_t i, std::size_t j, std::size_t o) {
                        sums.add(o, pass.value[from], i, theta[layer.weight + j]);
                      });
      if (layer.bias >= 0)
        for (std::size_t o = 0; o < y.size(); ++o)
          sums.add(o, theta[layer.bias + static_cast<std::int64_t>(o % y.c)], 0.0, 1.0, 0.0);
    } else if (layer.kind == LayerKind::kAveragePool || layer.kind == LayerKind::kBilinear) {
      for_each_coefficient(layer, pass.extents[from], y,
                           [&](std::size_t o, std::size_t i, double a, double a_error) {
                             sums.add(o, pass.value[from], i, a, a_error);
                           });
    } else {
      for_each_passed_on(layer, pass.extents, y,
                         [&](std::size_t edge, std::size_t o, std::size_t i) {
                           sums.add(o, pass.value[static_cast<std::size_t>(layer.inputs[edge])], i);
                         });
    }
    if (layer.kind != LayerKind::kMaxPool) pass.value[l] = sums.finish(pass.largest);
    if (layer.relu) rectify(frozen, l, pass);
  }
  return pass;
}

/// d⟨dy, output⟩/dtheta at the point of `pass`. `largest` as in Pass.
inline Numbers backward(const Network& network, const std::vector<double>& theta, const Pass& pass,
                        const std::vector<double>& dy, double* largest = nullptr) {
  using namespace network_detail;
  const std::size_t layers = network.layers.size();
  std::vector<NumberSums> gradient;
  for (const Extents& extents : pass.extents) gradient.emplace_back(extents.size());
  for (std::size_t i = 0; i < dy.size(); ++i) gradient.back().add(i, dy[i], 0.0, 1.0, 0.0);
  NumberSums dtheta(static_cast<std::size_t>(network.parameters));
  double most = 0.0;
  for (std::size_t l = layers; l-- > 1;) {
    const Layer& layer = network.layers[l];
    const std::size_t from = static_cast<std::size_t>(layer.inputs[0]);
    const Extents& y = pass.extents[l];
    Numbers g = gradient[l].finish(most);
    for (std::size_t o = 0; layer.relu && o < g.value.size(); ++o) {
      const double doubt = pass.in_doubt[l][o] ? std::fabs(g.value[o]) + g.error[o] : 0.0;
      if (!pass.passes[l][o]) g.value[o] = 0.0, g.error[o] = 0.0;
      g.error[o] = std::max(g.error[o], doubt);
    }
    if (layer.kind == LayerKind::kMaxPool) {
      for (std::size_t o = 0; o < g.value.size(); ++o) gradient[from].add(pass.winner[l][o], g, o);
      for (const auto& [o, i] : pass.rivals[l]) {
        const double much = std::fabs(g.value[o]) + g.error[o];
        gradient[from].add_doubt(i, much);
        gradient[from].add_doubt(pass.winner[l][o], much);
      }
    } else if (layer.weight >= 0) {
      const Numbers& x = pass.value[from];
      for_each_weight(layer, pass.extents[from], y,
                      [&](std::size_t i, std::size_t j, std::size_t o) {
                        dtheta.add(layer.weight + j, x, i, g.value[o], g.error[o]);
                        gradient[from].add(i, g, o, theta[layer.weight + j]);
                      });
      if (layer.bias >= 0)
        for (std::size_t o = 0; o < y.size(); ++o) dtheta.add(layer.bias + o % y.c, g, o);
    } else if (layer.kind == LayerKind::kAveragePool || layer.kind == LayerKind::kBilinear) {
      for_each_coefficient(layer, pass.extents[from], y,
                           [&](std::size_t o, std::size_t i, double a, double a_error) {
                             gradient[from].add(i, g, o, a, a_error);
                           });
    } else {
      for_each_passed_on(layer, pass.extents, y,
                         [&](std::size_t edge, std::size_t o, std::size_t i) {
                           gradient[static_cast<std::size_t>(layer.inputs[edge])].add(i, g, o);
                         });
    }
  }
  Numbers result = dtheta.finish(most);
  if (largest) *largest = most;
  return result;
}

}  // namespace curvseg::reference
