// Which nodes share memory: the slices of a concatenation, sums written in place, and gradients
// that pass through concatenations, sums and ReLU layers unchanged.
#pragma once

#include <cstdint>
#include <vector>

#include "host/nn/graph.hpp"

namespace curvseg {

/// How an input of a concat, add or ReLU node gets into (or its gradient out of) that node's
/// memory.
enum class EdgeKind : std::uint8_t {
  kCopied,       // by a pass of its own
  kShared,       // it lies there already
  kAccumulated,  // forward only: the input's own convolution adds onto the other summand
};

/// A tensor is channels [channel, channel + C) of the memory of node `root`.
struct Slice {
  int root = 0;
  int channel = 0;
};

struct Layout {
  std::vector<std::vector<int>> consumers;
  std::vector<bool> needs_gradient;  // a parameter lies in the node or before it
  std::vector<Slice> activation;
  std::vector<Slice> gradient;
  /// Per identity node and input.
  std::vector<std::vector<EdgeKind>> forward_edges;
  std::vector<std::vector<EdgeKind>> backward_edges;
  std::vector<bool> accumulates;  // the node's forward pass adds to its memory
};

Layout plan_layout(const std::vector<Node>& nodes);

}  // namespace curvseg
