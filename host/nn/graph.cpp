#include "host/nn/graph.hpp"

#include <limits>

#include "curvseg/error.hpp"

namespace curvseg {
namespace {

std::string extent(int h, int w) { return std::to_string(h) + "x" + std::to_string(w); }

[[noreturn]] void misfit(const Node& node, const std::string& why) {
  throw InputError(node.name + ": " + why);
}

Shape conv_shape(const Node& node, const Shape& input) {
  const Shape x = node.flatten ? flattened(input) : input;
  if (x.c != node.in_channels)
    misfit(node, "the filter reads " + std::to_string(node.in_channels) + " channels, its input " +
                     to_string(input) + " has " + std::to_string(x.c));
  const Shape y = conv2d_output_shape(x, filter_view<const float>(node, nullptr), node.geometry);
  if (y.h < 1 || y.w < 1)
    misfit(node, "a filter of " + extent(node.r, node.s) + " with padding " +
                     extent(node.geometry.pad_h, node.geometry.pad_w) + " does not fit its input " +
                     to_string(input));
  return y;
}

/// The size is that of `like`; the convolution whose adjoint this is must lead back to x.
Shape conv_transpose_shape(const Node& node, const Shape& x, const Shape& like) {
  const Shape y{x.n, like.h, like.w, node.channels};
  const Shape back = conv2d_output_shape(y, filter_view<const float>(node, nullptr), node.geometry);
  if (!(back == x))
    misfit(node, "a transposed convolution to " + extent(y.h, y.w) + " takes an input of " +
                     extent(back.h, back.w) + ", its input is " + extent(x.h, x.w));
  return y;
}

Shape pool_shape(const Node& node, const Shape& x) {
  const Shape y = pool_output_shape(x, node.window);
  if (y.h < 1 || y.w < 1)
    misfit(node, "a window of " + extent(node.window.r, node.window.s) +
                     " does not fit its input of " + extent(x.h, x.w) +
                     "; use larger images or "
                     "fewer poolings");
  return y;
}

Shape concat_shape(const Node& node, const std::vector<Shape>& shapes) {
  const Shape& first = shapes[static_cast<std::size_t>(node.inputs[0])];
  Shape y = first;
  y.c = node.channels;
  for (const int input : node.inputs) {
    const Shape& other = shapes[static_cast<std::size_t>(input)];
    if (other.h != first.h || other.w != first.w)
      misfit(node, "one input is " + extent(first.h, first.w) + ", the other " +
                       extent(other.h, other.w));
  }
  return y;
}

}  // namespace

std::vector<std::vector<int>> consumers_of(const std::vector<Node>& nodes) {
  std::vector<std::vector<int>> result(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const int input : nodes[i].inputs)
      result[static_cast<std::size_t>(input)].push_back(static_cast<int>(i));
  return result;
}

Shape output_shape(const std::vector<Node>& nodes, int i, const std::vector<Shape>& shapes) {
  const Node& node = nodes[static_cast<std::size_t>(i)];
  const Shape& x = shapes[static_cast<std::size_t>(node.inputs.empty() ? i : node.inputs[0])];
  const Shape& like = shapes[static_cast<std::size_t>(node.like < 0 ? 0 : node.like)];
  switch (node.kind) {
    case NodeKind::kConv:
      return conv_shape(node, x);
    case NodeKind::kConvTranspose:
      return conv_transpose_shape(node, x, like);
    case NodeKind::kMaxPool:
    case NodeKind::kAveragePool:
      return pool_shape(node, x);
    case NodeKind::kUpsample:
      return {x.n, like.h, like.w, x.c};
    case NodeKind::kConcat:
      return concat_shape(node, shapes);
    case NodeKind::kAdd: {
      const Shape& other = shapes[static_cast<std::size_t>(node.inputs[1])];
      if (!(x == other))
        misfit(node, "one summand is " + to_string(x) + ", the other " + to_string(other));
      return x;
    }
    case NodeKind::kInput:
    case NodeKind::kRelu:
      return x;
  }
  return {};
}

std::vector<Shape> infer_shapes(const std::vector<Node>& nodes, const Shape& input) {
  std::vector<Shape> shapes(nodes.size());
  shapes[0] = input;
  for (std::size_t i = 1; i < nodes.size(); ++i)
    shapes[i] = output_shape(nodes, static_cast<int>(i), shapes);
  return shapes;
}

}  // namespace curvseg
