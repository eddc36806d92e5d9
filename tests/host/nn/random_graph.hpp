// Models with random wiring: skips, shared producers, sums, concatenations of concatenations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "curvseg/model.hpp"

namespace curvseg::testing {

/// Bilinear resizing has weights that float32 does not hold exactly; without it, and with whole
/// numbers, a model's passes are exact. An exact model ends in dense layers, another one in a map.
class RandomGraph {
 public:
  RandomGraph(unsigned seed, bool exact)
      : engine_(seed), exact_(exact), builder_("random", kChannels, kHeight, kWidth) {
    nodes_.push_back({builder_.input(), kHeight, kWidth, kChannels});
    used_.push_back(true);
  }

  static constexpr int kHeight = 9, kWidth = 8, kChannels = 2;

  Model build(int layers) {
    for (int i = 0; i < layers; ++i) add_layer();
    return builder_.build(exact_ ? join_by_dense() : join_by_upsampling());
  }
  /// The finest fraction that whole numbers become.
  double unit() const { return unit_; }

 private:
  struct Known {
    int node, h, w, c;
  };

  int pick(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  bool coin() { return pick(2) == 0; }

  /// Recent nodes more often, so that graphs get deep.
  Known take() {
    const int n = static_cast<int>(nodes_.size());
    const int back = coin() ? pick(std::min(n, 3)) : pick(n);
    return nodes_[static_cast<std::size_t>(n - 1 - back)];
  }

  void remember(int node, int h, int w, int c, std::initializer_list<int> inputs) {
    nodes_.push_back({node, h, w, c});
    used_.push_back(false);
    for (const int input : inputs) used_[static_cast<std::size_t>(input)] = true;
  }

  void add_layer() {
    const Known x = take();
    switch (pick(9)) {
      case 0:
      case 1:
        return add_conv(x);
      case 2:
        return add_transposed(x);
      case 3:
        return add_pool(x);
      case 4:
        return add_relu(x);
      case 5:
      case 6:
        return add_concat(x);
      default:
        return add_sum(x);
    }
  }

  ModelBuilder::Conv conv_options(int k) {
    return {.name = {}, .k = k, .relu = coin(), .bias = coin()};
  }

  void add_conv(const Known& x) {
    ModelBuilder::Conv options = conv_options(1 + pick(5));
    if (pick(3) == 0) options.r = options.s = 1;
    if (options.r == 3 && pick(4) == 0) options.dilation = 2;
    if (pick(5) == 0 && x.h > 2 && x.w > 2) options.stride = 2;
    const int h = (x.h - 1) / options.stride + 1, w = (x.w - 1) / options.stride + 1;
    remember(builder_.conv(x.node, options), h, w, options.k, {x.node});
  }

  /// Back to a size that halving leads to x's, if there is one; else to x's own.
  void add_transposed(const Known& x) {
    ModelBuilder::Conv options = conv_options(1 + pick(4));
    Known like = x;
    for (const Known& other : nodes_)
      if (other.h / 2 == x.h && other.w / 2 == x.w) like = other;
    if (like.node != x.node) options.r = options.s = options.stride = 2;
    remember(builder_.conv_transpose(x.node, options, like.node), like.h, like.w, options.k,
             {x.node});
  }

  void add_pool(const Known& x) {
    if (x.h < 2 || x.w < 2) return;
    if (coin()) {
      const PoolWindow window =
          coin() ? PoolWindow{} : PoolWindow{.r = 3, .s = 3, .pad_h = 1, .pad_w = 1};
      const int grow = window.pad_h * 2 - window.r;
      remember(builder_.max_pool(x.node, window), (x.h + grow) / 2 + 1, (x.w + grow) / 2 + 1, x.c,
               {x.node});
    } else {
      remember(builder_.average_pool(x.node), x.h / 2, x.w / 2, x.c, {x.node});
      unit_ /= 4.0;
    }
  }

  void add_relu(const Known& x) {
    if (x.node != 0) remember(builder_.relu(x.node), x.h, x.w, x.c, {x.node});
  }

  void add_concat(const Known& x) {
    std::vector<Known> fitting;
    for (const Known& other : nodes_)
      if (other.h == x.h && other.w == x.w && other.c + x.c <= 12) fitting.push_back(other);
    if (fitting.empty()) return;
    const Known y = fitting[static_cast<std::size_t>(pick(static_cast<int>(fitting.size())))];
    const Known joined{builder_.concat(x.node, y.node), x.h, x.w, x.c + y.c};
    remember(joined.node, joined.h, joined.w, joined.c, {x.node, y.node});
    if (coin()) add_conv(joined);
  }

  /// Of two nodes of one shape, or of one and a convolution made for it, or of two of those.
  void add_sum(Known x) {
    std::vector<Known> fitting;
    for (const Known& other : nodes_)
      if (other.h == x.h && other.w == x.w && other.c == x.c) fitting.push_back(other);
    Known y = fitting[static_cast<std::size_t>(pick(static_cast<int>(fitting.size())))];
    const auto convolved = [&](const Known& from) {
      const Known made{builder_.conv(from.node, conv_options(x.c)), x.h, x.w, x.c};
      remember(made.node, made.h, made.w, made.c, {from.node});
      return made;
    };
    if (coin()) y = convolved(y);
    if (pick(3) == 0) x = convolved(x);
    remember(coin() ? builder_.add(x.node, y.node) : builder_.add(y.node, x.node), x.h, x.w, x.c,
             {x.node, y.node});
  }

  std::vector<int> leaves() const {
    std::vector<int> result;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (!used_[i]) result.push_back(nodes_[i].node);
    return result;
  }

  int join_by_dense() {
    int joined = -1;
    std::vector<int> joining = leaves();
    joining.push_back(take().node);  // one that other layers read as well
    for (const int leaf : joining) {
      const int next = builder_.dense(leaf, 6, pick(4) == 0);
      joined = joined < 0 ? next : builder_.concat(joined, next);
      if (pick(4) == 0) joined = builder_.dense(joined, 8, false);
    }
    return builder_.dense(joined, 3, false);
  }

  int join_by_upsampling() {
    int joined = -1;
    for (const int leaf : leaves()) {
      const int next = builder_.upsample(leaf, builder_.input());
      joined = joined < 0 ? next : builder_.concat(joined, next);
    }
    return builder_.conv(joined, {.name = "head", .k = 3, .relu = coin()});
  }

  std::mt19937 engine_;
  bool exact_;
  ModelBuilder builder_;
  std::vector<Known> nodes_;
  std::vector<bool> used_;
  double unit_ = 1.0;
};

}  // namespace curvseg::testing
