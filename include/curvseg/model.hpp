/// \file
/// Models: a graph of layers with named parameters in one flat buffer, and plans that run it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "curvseg/device.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

/// How a parameter starts.
enum class Initialiser {
  kHeNormal,      ///< N(0, 2 / fan_in), for weights before a ReLU
  kGlorotUniform, ///< U(±√(6 / (fan_in + fan_out)))
  kZero,
};

/// One named tensor of the flat parameter vector theta.
struct Parameter {
  std::string name;               ///< "encoder1.conv1.weight"
  std::vector<std::int64_t> shape;///< weights [R,S,C,K] (transposed: [R,S,C,K], C written), biases [K]
  std::int64_t offset = 0;        ///< in elements, a multiple of 16
  std::int64_t size = 0;          ///< in elements
  Initialiser initialiser = Initialiser::kZero;
  std::int64_t fan_in = 0, fan_out = 0;
};

struct Node;  // one layer, host/nn/graph.hpp

/// The layers, independent of image size, batch and device. Immutable and cheap to copy.
class Model {
 public:
  const std::string& name() const;           ///< "unet(width=16, depth=3)", rebuilds it by parse()
  int in_channels() const;
  int classes() const;                       ///< channels of the output
  bool is_classifier() const;                ///< its output is [N,1,1,classes]
  const std::vector<Parameter>& parameters() const;
  std::int64_t parameter_count() const;      ///< elements of theta, with padding between tensors
  const std::vector<Node>& nodes() const;    ///< for this library's own use
  /// Smallest multiple of 1 (fully convolutional) or the fixed size a classifier was made for.
  Shape fixed_input() const;                 ///< h = w = 0 for segmenters: any size

  /// theta ← its initial values for `seed`: the same bits on every target. Asynchronous.
  void initialise(const Stream& stream, std::uint64_t seed, VectorView theta) const;

 private:
  friend class ModelBuilder;
  struct State;
  std::shared_ptr<const State> state_;
};

/// Builds a graph, layer by layer; each call returns the number of the new layer's output.
///
///     ModelBuilder b("tiny", 3);
///     int x = b.conv(b.input(), {.k = 16, .name = "conv1"});
///     x = b.max_pool(x);
///     ...
///     Model model = b.build(b.conv(x, {.k = classes, .r = 1, .s = 1, .relu = false}));
class ModelBuilder {
 public:
  ModelBuilder(std::string name, int in_channels, int image_h = 0, int image_w = 0);

  struct Conv {
    std::string name;                 ///< of its parameters; "" numbers it
    int k = 0;                        ///< output channels
    int r = 3, s = 3;
    int stride = 1, dilation = 1;
    int pad_h = -1, pad_w = -1;       ///< −1: "same" for odd filters, dilation·(R−1)/2
    bool relu = true;
    bool bias = true;
  };
  int input() const { return 0; }
  int conv(int from, const Conv& options);
  /// Transposed convolution to the size of node `like`.
  int conv_transpose(int from, const Conv& options, int like);
  int max_pool(int from, const PoolWindow& window = {});
  int average_pool(int from, const PoolWindow& window = {}, bool count_include_pad = false);
  int upsample(int from, int like);      ///< bilinear, to the size of node `like`
  int concat(int a, int b);              ///< channels of a, then of b
  int relu(int from);
  int dense(int from, int k, bool relu, std::string name = {});  ///< flattens [H,W,C] first

  /// \throws std::invalid_argument naming the layer that does not fit.
  Model build(int output);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Ready-made models.
namespace zoo {
struct UnetOptions {
  int width = 16;   ///< channels of the first level, doubled at each level below
  int depth = 3;    ///< number of poolings
  bool transpose = true;  ///< up-sampling by 2x2 transposed convolution, else bilinear + 3x3 conv
};
/// Ronneberger et al. 2015, with "same" padding: two 3x3 convolutions with ReLU a level.
Model unet(int in_channels, int classes, const UnetOptions& options = {});
/// Long et al. 2015 in the small: an encoder, 1x1 scores at three depths, summed on the way up.
Model fcn(int in_channels, int classes, int width = 16);
/// Encoder-decoder without skip connections, after SegNet.
Model segnet(int in_channels, int classes, int width = 16, int depth = 3);
/// (3x3 conv, 2x2 max pool) x 3, dense 512, dense n.
Model classifier3(int in_channels, int classes, int image_h, int image_w);
/// (3x3 conv, 2x2 max pool) x 2, dense 128, dense n.
Model classifier2(int in_channels, int classes, int image_h, int image_w);
/// By name, as the command line and checkpoints do: "unet", "unet(width=32, depth=4)", "fcn",
/// "segnet", "classifier3", "classifier2". \throws InputError naming the models there are.
Model make(std::string_view name, int in_channels, int classes, int image_h = 0, int image_w = 0);
std::vector<std::string> names();
}  // namespace zoo

enum class PlanMode { kInference, kTraining };

/// A model on a device for one input shape: all memory planned once, nothing allocates afterwards.
/// Used by one thread at a time.
class Plan {
 public:
  Plan(const Model& model, const Device& device, Shape input, PlanMode mode);
  ~Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;

  const Shape& input_shape() const;
  const Shape& output_shape() const;
  /// Device memory of this plan: activations, gradients, workspace; not theta and not the input.
  std::size_t memory_bytes() const;

  /// Runs the layers on x; the result is output().
  void forward(const Stream& stream, ConstVectorView theta, ConstTensorView x);
  TensorView output() const;
  /// Where the loss writes the gradient of the output; kTraining only.
  TensorView output_gradient() const;
  /// grad (+)= dL/dtheta of the loss whose gradient lies in output_gradient(), for the x of the
  /// last forward(). Every element of grad is written. `x` must be the same memory.
  void backward(const Stream& stream, ConstVectorView theta, ConstTensorView x, bool accumulate,
                VectorView grad);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg
