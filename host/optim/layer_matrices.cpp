#include "host/optim/layer_matrices.hpp"

#include <algorithm>

#include "host/nn/graph.hpp"

namespace curvseg {

std::vector<LayerMatrix> layer_matrices(const Model& model) {
  std::vector<LayerMatrix> result;
  const auto offset = [&model](int parameter) {
    return model.parameters()[static_cast<std::size_t>(parameter)].offset;
  };
  for (std::size_t i = 0; i < model.nodes().size(); ++i) {
    const Node& node = model.nodes()[i];
    if (!is_convolution(node)) continue;
    LayerMatrix layer;
    layer.node = static_cast<int>(i);
    layer.name = node.name;
    layer.transposed = node.kind == NodeKind::kConvTranspose;
    layer.taps = node.r * node.s;
    layer.in = node.in_channels;
    layer.out = node.channels;
    layer.weight = offset(node.weight);
    if (node.bias >= 0) layer.bias = offset(node.bias);
    result.push_back(layer);
  }
  return result;
}

std::vector<ChannelGroup> channel_groups(int channels, int largest) {
  constexpr int kVector = 16;  // floats of the widest registers
  const int groups = (channels + largest - 1) / largest;
  int count = (channels + groups - 1) / groups;
  count = std::min(largest, (count + kVector - 1) / kVector * kVector);
  std::vector<ChannelGroup> result;
  for (int first = 0; first < channels; first += count)
    result.push_back({first, std::min(count, channels - first)});
  return result;
}

}  // namespace curvseg
