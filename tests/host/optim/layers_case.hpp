// A small model with a batch on a device, for optimisers that look at layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/optim.hpp"
#include "host/nn/network_case.hpp"

namespace curvseg::testing {

/// U-Net with a transposed convolution, odd channels, and weights whose bias does not lie right
/// behind them.
inline Model layers_model() { return zoo::make("unet(width=3, depth=1)", 2, 3); }

class LayersCase {
 public:
  explicit LayersCase(const Device& device, const Shape& input = {2, 6, 5, 2})
      : stream(device),
        model(layers_model()),
        data(real_data(model, input, 3)),
        theta(device, model.parameter_count()),
        grad(device, model.parameter_count()),
        images(device, input),
        labels(device, input.pixels()),
        loss(stream, model, input) {
    host_labels.resize(static_cast<std::size_t>(input.pixels()));
    for (std::size_t i = 0; i < host_labels.size(); ++i)
      host_labels[i] = static_cast<std::int32_t>(i * 5 % 4) - 1;
    theta.upload(stream, data.theta.data(), theta.size());
    images.upload(stream, data.x);
    labels.upload(stream, host_labels.data(), labels.size());
  }

  /// The gradient at theta, on the device and here.
  std::vector<float> gradient() {
    loss.linearise({theta.data(), theta.size()}, images, labels.data());
    loss.gradient({grad.data(), grad.size()});
    return grad.to_host(stream);
  }
  StepContext context(std::uint64_t step, float learning_rate = 1.0f) {
    return {.stream = stream,
            .theta = {theta.data(), theta.size()},
            .grad = {grad.data(), grad.size()},
            .step = step,
            .learning_rate = learning_rate,
            .batch = &loss};
  }
  std::vector<float> read(ConstVectorView from) const { return values_of(stream, from); }
  /// The state called `name`.
  std::vector<float> state(Optimizer& optimizer, const std::string& name) const {
    for (const StateTensor& tensor : optimizer.state().tensors)
      if (tensor.name == name) return read(tensor.data);
    ADD_FAILURE() << "there is no state " << name;
    return {};
  }

  Stream stream;
  Model model;
  NetworkData data;
  DeviceArray<float> theta, grad;
  Tensor images;
  DeviceArray<std::int32_t> labels;
  std::vector<std::int32_t> host_labels;
  BatchLoss loss;
};

}  // namespace curvseg::testing
