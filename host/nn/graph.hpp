// A model's layers: what ModelBuilder collects and a Plan reads. Node 0 is the image, every node
// comes after the nodes it reads, and the last one is the model's output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "curvseg/model.hpp"

namespace curvseg {

/// The number of a node or tensor as an index.
inline std::size_t at(int i) { return static_cast<std::size_t>(i); }

enum class NodeKind : std::uint8_t {
  kInput,
  kConv,           // y = relu?(x ⊛ w + b); a dense layer is one over [N,1,1,H·W·C]
  kConvTranspose,  // y = relu?(x ⊛ᵀ w + b), to the size of node `like`
  kMaxPool,
  kAveragePool,
  kUpsample,  // bilinear, to the size of node `like`
  kConcat,    // channels of all inputs, in order
  kAdd,       // y = a + b
  kRelu,
};

struct Node {
  NodeKind kind = NodeKind::kInput;
  std::string name;  // for messages; the prefix of its parameters' names
  std::vector<int> inputs;
  int like = -1;
  int channels = 0;  // of the output

  // Convolutions.
  int r = 1, s = 1;
  int in_channels = 0;  // of the filter: H·W·C for a dense layer
  Conv2dGeometry geometry;
  bool relu = false;           // also true of kRelu: the output was rectified
  bool flatten = false;        // reads [N,H,W,C] as [N,1,1,H·W·C]
  int weight = -1, bias = -1;  // numbers of parameters, −1: none

  // Pooling.
  PoolWindow window;
  bool count_include_pad = false;
};

inline bool is_convolution(const Node& node) {
  return node.kind == NodeKind::kConv || node.kind == NodeKind::kConvTranspose;
}

/// Its gradient passes to its inputs unchanged, so that memory can be shared.
inline bool is_identity(const Node& node) {
  return node.kind == NodeKind::kConcat || node.kind == NodeKind::kAdd ||
         node.kind == NodeKind::kRelu;
}

/// The filter [R,S,C,K]: of a transposed convolution, C is what it writes and K what it reads.
template <class T>
BasicFilterView<T> filter_view(const Node& node, T* data) {
  if (node.kind == NodeKind::kConvTranspose)
    return {data, node.r, node.s, node.channels, node.in_channels};
  return {data, node.r, node.s, node.in_channels, node.channels};
}

/// [N,H,W,C] seen as [N,1,1,H·W·C].
inline Shape flattened(const Shape& x) {
  return {x.n, 1, 1, static_cast<int>(x.elements() / (x.n > 0 ? x.n : 1))};
}

/// Which nodes read each node, ascending; a node that reads another twice is listed twice.
std::vector<std::vector<int>> consumers_of(const std::vector<Node>& nodes);

/// The output shape of node `i`, given those of all nodes before it.
/// \throws InputError naming the layer and both sides if they do not fit.
Shape output_shape(const std::vector<Node>& nodes, int i, const std::vector<Shape>& shapes);

/// The output shapes of all nodes for an image batch.
std::vector<Shape> infer_shapes(const std::vector<Node>& nodes, const Shape& input);

}  // namespace curvseg
