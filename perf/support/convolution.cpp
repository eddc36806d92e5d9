#include "perf/support/convolution.hpp"

namespace curvseg::perf {

std::vector<NamedDirection> directions(const Conv2dCase& c) {
  return {{"forward", c.transposed ? Direction::kData : Direction::kForward},
          {"data", c.transposed ? Direction::kForward : Direction::kData},
          {"weights", Direction::kWeights}};
}

Convolution::Convolution(const Stream& stream, const Conv2dCase& c, Direction direction,
                         bool rotate, ConvAlgorithm algorithm)
    : stream_(stream),
      direction_(direction),
      shapes_(c, algorithm),
      w_(random_vector(stream, shapes_.filter.elements(), kFilterSeed)),
      workspace_(stream.device(), workspace_floats()),
      buffers_(rotate ? shapes_.bytes() : last_level_cache() * 8, [this] {
        return Buffers{random_tensor(stream_, shapes_.x, kXSeed),
                       random_tensor(stream_, shapes_.y, kYSeed)};
      }) {}

void Convolution::run() {
  Buffers& b = buffers_.next();
  const Workspace workspace{workspace_.data(), workspace_.bytes()};
  const ConstFilterView w = filter(w_.data());
  if (direction_ == Direction::kForward)
    conv2d_forward(stream_, b.x, w, {.geometry = shapes_.geometry}, workspace, b.y);
  else if (direction_ == Direction::kData)
    conv2d_backward_data(stream_, b.y, w, {.geometry = shapes_.geometry}, workspace, b.x);
  else
    conv2d_backward_weights(stream_, b.x, b.y, shapes_.geometry, false, workspace,
                            FilterView{w_.data(), w.r, w.s, w.c, w.k});
}

std::vector<float> Convolution::result() {
  Buffers& b = buffers_.current();
  if (direction_ == Direction::kForward) return b.y.to_host(stream_);
  return direction_ == Direction::kData ? b.x.to_host(stream_) : w_.to_host(stream_);
}

ConstFilterView Convolution::filter(const float* data) const {
  const ConstFilterView& f = shapes_.filter;
  return {data, f.r, f.s, f.c, f.k};
}

std::int64_t Convolution::workspace_floats() const {
  const Device device = stream_.device();
  const ConvolutionShapes& s = shapes_;
  std::size_t bytes = 0;
  if (direction_ == Direction::kForward)
    bytes = conv2d_forward_workspace(device, s.x, s.filter, s.geometry);
  else if (direction_ == Direction::kData)
    bytes = conv2d_backward_data_workspace(device, s.x, s.filter, s.geometry);
  else
    bytes = conv2d_backward_weights_workspace(device, s.x, s.filter, s.geometry);
  return static_cast<std::int64_t>(bytes / sizeof(float));
}

}  // namespace curvseg::perf
