// A convolution of the list at work, in one of its directions; for the benchmark and for what is
// compared with peers.
#pragma once

#include <cstddef>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/conv2d_cases.hpp"
#include "perf/support/harness.hpp"

namespace curvseg::perf {

enum class Direction { kForward, kData, kWeights };

/// The directions of a layer by name, as directions of the convolution in the list: a transposed
/// layer's forward pass is the data gradient of its convolution, and the reverse.
struct NamedDirection {
  const char* name;
  Direction direction;
};
std::vector<NamedDirection> directions(const Conv2dCase& c);

/// The convolution of a case; of a transposed convolution the one it is the adjoint of, so that y
/// is what the layer reads and x what it writes. Its data gradient is then the layer's forward
/// pass.
struct ConvolutionShapes {
  explicit ConvolutionShapes(const Conv2dCase& c,
                             ConvAlgorithm algorithm = ConvAlgorithm::kAutomatic)
      : x{c.n, c.h, c.w, c.c}, filter(nullptr, c.r, c.s, c.c, c.k), geometry(c.geometry()) {
    geometry.algorithm = algorithm;
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

/// What x, y and the filter begin as: whole_numbers() of these seeds.
inline constexpr unsigned kFilterSeed = 1, kXSeed = 2, kYSeed = 3;

/// The filter stays, as in training; activations rotate where `rotate` says so.
class Convolution {
 public:
  Convolution(const Stream& stream, const Conv2dCase& c, Direction direction, bool rotate,
              ConvAlgorithm algorithm = ConvAlgorithm::kAutomatic);

  void run();
  /// What the last run wrote: [N,H,W,C] or [R,S,C,K]. What it read is as it began.
  std::vector<float> result();
  const ConvolutionShapes& shapes() const { return shapes_; }

 private:
  struct Buffers {
    Tensor x, y;
  };
  ConstFilterView filter(const float* data) const;
  std::int64_t workspace_floats() const;

  Stream stream_;
  Direction direction_;
  ConvolutionShapes shapes_;
  DeviceArray<float> w_, workspace_;
  Rotation<Buffers> buffers_;
};

}  // namespace curvseg::perf
