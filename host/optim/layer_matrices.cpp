#include "host/optim/layer_matrices.hpp"

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

}  // namespace curvseg
