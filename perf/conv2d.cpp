// Convolution in its three directions: GFLOP/s and the part of the measured FMA peak.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perf/support/convolution.hpp"
#include "reference/conv2d.hpp"

namespace curvseg::perf {
namespace {

std::vector<double> expected_result(const Conv2dCase& c, const ConvolutionShapes& shapes,
                                    Direction direction) {
  reference::Conv2d g{c.n, c.h, c.w, c.c, c.k, c.r, c.s};
  g.stride_h = g.stride_w = c.stride;
  g.pad_h = shapes.geometry.pad_h;
  g.pad_w = shapes.geometry.pad_w;
  g.dilation_h = g.dilation_w = c.dilation;
  const std::vector<float> x = whole_numbers(shapes.x.elements(), kXSeed),
                           y = whole_numbers(shapes.y.elements(), kYSeed),
                           w = whole_numbers(shapes.filter.elements(), kFilterSeed);
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
  ConvolutionOperation(const Stream& stream, const Conv2dCase& c, Direction direction,
                       ConvAlgorithm algorithm)
      : stream_(stream), case_(c), direction_(direction), algorithm_(algorithm) {}

  /// The same channels and geometry on a small image: the same tiles, with edges, in little time.
  void check() override {
    Conv2dCase small = case_;
    small.n = 2;
    small.h = std::min(small.h, 11);
    small.w = std::min(small.w, 14);
    Convolution convolution(stream_, small, direction_, false, algorithm_);
    convolution.run();
    require_equal(case_.name, convolution.result(),
                  expected_result(small, convolution.shapes(), direction_));
  }
  void prepare() override { timed_.emplace(stream_, case_, direction_, true, algorithm_); }
  Work work() const override { return {.flops = timed_->shapes().flops()}; }
  void run() override { timed_->run(); }

 private:
  Stream stream_;
  Conv2dCase case_;
  Direction direction_;
  ConvAlgorithm algorithm_;
  std::optional<Convolution> timed_;
};

}  // namespace

void register_benchmarks() {
  for (const Conv2dCase& c : kConv2dCases)
    for (const auto& [name, direction] : directions(c)) {
      const auto with = [c, direction = direction](ConvAlgorithm algorithm) {
        return [c, direction, algorithm](const Stream& stream) {
          return std::make_unique<ConvolutionOperation>(stream, c, direction, algorithm);
        };
      };
      add(std::string(name) + "/" + c.name, with(ConvAlgorithm::kAutomatic));
      if (c.has_choice())
        add(std::string(name) + "_direct/" + c.name, with(ConvAlgorithm::kDirect));
    }
}

}  // namespace curvseg::perf
