// Convolution in its three directions: GFLOP/s and the part of the measured FMA peak.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/conv2d_cases.hpp"
#include "perf/support/harness.hpp"
#include "reference/conv2d.hpp"

namespace curvseg::perf {
namespace {

enum class Direction { kForward, kData, kWeights };

/// The convolution of a case; of a transposed convolution the one it is the adjoint of, so that y
/// is what the layer reads and x what it writes. Its data gradient is then the layer's forward
/// pass.
struct Shapes {
  explicit Shapes(const Conv2dCase& c)
      : x{c.n, c.h, c.w, c.c}, filter(nullptr, c.r, c.s, c.c, c.k), geometry(c.geometry()) {
    y = conv2d_output_shape(x, filter, geometry);
  }
  Shape x, y;
  ConstFilterView filter;
  Conv2dGeometry geometry;

  double flops() const {
    return 2.0 * static_cast<double>(y.pixels()) * static_cast<double>(filter.elements());
  }
  std::size_t bytes() const {
    return sizeof(float) * static_cast<std::size_t>(x.elements() + y.elements());
  }
};

struct Buffers {
  Tensor x, y;
};

/// One direction of one case. The filter stays, as in training; activations rotate.
class Convolution {
 public:
  Convolution(const Stream& stream, const Conv2dCase& c, Direction direction, bool rotate)
      : stream_(stream),
        direction_(direction),
        shapes_(c),
        w_(random_vector(stream, shapes_.filter.elements(), 1)),
        workspace_(stream.device(), workspace_floats()),
        buffers_(rotate ? shapes_.bytes() : last_level_cache() * 8, [this] {
          return Buffers{random_tensor(stream_, shapes_.x, 2),
                         random_tensor(stream_, shapes_.y, 3)};
        }) {}

  void run() {
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

  /// What the last run wrote. The buffers that it read are as random_tensor() made them.
  std::vector<float> result() {
    Buffers& b = buffers_.current();
    if (direction_ == Direction::kForward) return b.y.to_host(stream_);
    return direction_ == Direction::kData ? b.x.to_host(stream_) : w_.to_host(stream_);
  }

  const Shapes& shapes() const { return shapes_; }

 private:
  ConstFilterView filter(const float* data) const {
    const ConstFilterView& f = shapes_.filter;
    return {data, f.r, f.s, f.c, f.k};
  }

  std::int64_t workspace_floats() const {
    const Device device = stream_.device();
    const Shapes& s = shapes_;
    std::size_t bytes = 0;
    if (direction_ == Direction::kForward)
      bytes = conv2d_forward_workspace(device, s.x, s.filter, s.geometry);
    else if (direction_ == Direction::kData)
      bytes = conv2d_backward_data_workspace(device, s.x, s.filter, s.geometry);
    else
      bytes = conv2d_backward_weights_workspace(device, s.x, s.filter, s.geometry);
    return static_cast<std::int64_t>(bytes / sizeof(float));
  }

  Stream stream_;
  Direction direction_;
  Shapes shapes_;
  DeviceArray<float> w_, workspace_;
  Rotation<Buffers> buffers_;
};

std::vector<double> expected_result(const Conv2dCase& c, const Shapes& shapes,
                                    Direction direction) {
  reference::Conv2d g{c.n, c.h, c.w, c.c, c.k, c.r, c.s};
  g.stride_h = g.stride_w = c.stride;
  g.pad_h = shapes.geometry.pad_h;
  g.pad_w = shapes.geometry.pad_w;
  g.dilation_h = g.dilation_w = c.dilation;
  const std::vector<float> x = whole_numbers(shapes.x.elements(), 2),
                           y = whole_numbers(shapes.y.elements(), 3),
                           w = whole_numbers(shapes.filter.elements(), 1);
  reference::Sums sums(direction == Direction::kForward ? g.y_size()
                       : direction == Direction::kData  ? g.x_size()
                                                        : g.w_size());
  if (direction == Direction::kForward)
    reference::forward(g, x, w, sums);
  else if (direction == Direction::kData)
    reference::backward_data(g, y, w, sums);
  else
    reference::backward_weights(g, x, y, sums);
  return sums.value;
}

class ConvolutionOperation final : public Operation {
 public:
  ConvolutionOperation(const Stream& stream, const Conv2dCase& c, Direction direction)
      : stream_(stream), case_(c), direction_(direction) {}

  /// The same channels and geometry on a small image: the same tiles, with edges, in little time.
  void check() override {
    Conv2dCase small = case_;
    small.n = 2;
    small.h = std::min(small.h, 11);
    small.w = std::min(small.w, 14);
    Convolution convolution(stream_, small, direction_, false);
    convolution.run();
    require_equal(case_.name, convolution.result(),
                  expected_result(small, convolution.shapes(), direction_));
  }
  void prepare() override { timed_.emplace(stream_, case_, direction_, true); }
  Work work() const override { return {.flops = timed_->shapes().flops()}; }
  void run() override { timed_->run(); }

 private:
  Stream stream_;
  Conv2dCase case_;
  Direction direction_;
  std::optional<Convolution> timed_;
};

void add_direction(const Conv2dCase& c, const char* name, Direction direction) {
  add(std::string(name) + "/" + c.name, [c, direction](const Stream& stream) {
    return std::make_unique<ConvolutionOperation>(stream, c, direction);
  });
}

}  // namespace

void register_benchmarks() {
  for (const Conv2dCase& c : kConv2dCases) {
    // A transposed layer's forward pass is the data gradient of its convolution, and the reverse.
    add_direction(c, "forward", c.transposed ? Direction::kData : Direction::kForward);
    add_direction(c, "data", c.transposed ? Direction::kForward : Direction::kData);
    add_direction(c, "weights", Direction::kWeights);
  }
}

}  // namespace curvseg::perf
