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
  kHeNormal,       ///< N(0, 2 / fan_in), for weights before a ReLU
  kGlorotUniform,  ///< U(±√(6 / (fan_in + fan_out))), for linear layers
  kZero,           ///< 0, for biases
};

/// One named tensor of the flat parameter vector theta.
struct Parameter {
  std::string name;  ///< "encoder1.conv1.weight"
  /// Weights [R,S,C,K] (of a transposed convolution, C is what it writes), biases [channels].
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;                       ///< in elements, a multiple of 16
  std::int64_t size = 0;                         ///< in elements
  Initialiser initialiser = Initialiser::kZero;  ///< what Model::initialise() writes here
  std::int64_t fan_in = 0;   ///< inputs of one output, on average off the border; 0 for biases
  std::int64_t fan_out = 0;  ///< outputs of one input, likewise; 0 for biases
};

struct Node;  // one layer, host/nn/graph.hpp

/// The layers, independent of image size, batch and device. Immutable and cheap to copy.
class Model {
 public:
  /// "unet(width=16, depth=3, transpose=true)": zoo::make() builds the same model from it.
  const std::string& name() const&;
  std::string name() &&;       ///< of a temporary, which it outlives
  int in_channels() const;     ///< channels of the images
  int classes() const;         ///< channels of the output
  bool is_classifier() const;  ///< its output is [N,1,1,classes]
  /// In the order of theta.
  const std::vector<Parameter>& parameters() const&;
  std::vector<Parameter> parameters() &&;  ///< of a temporary, which they outlive
  /// Elements of theta, with the padding between parameters, which stays 0 for ever.
  std::int64_t parameter_count() const;
  const std::vector<Node>& nodes() const;  ///< for this library's own use
  /// The same model, its convolutions computed by `algorithm` in every pass of every plan: kDirect
  /// where exactness is worth more than speed. Models are made with kAutomatic; checkpoints do not
  /// tell.
  Model with_convolutions(ConvAlgorithm algorithm) const;
  /// The image size a classifier was made for; h = w = 0 for segmenters, which take any. n is 0.
  Shape fixed_input() const;

  /// theta ← its initial values for `seed`: the same bits on every target. Biases and padding are
  /// 0. Asynchronous. \throws std::invalid_argument if theta has another size.
  void initialise(const Stream& stream, std::uint64_t seed, VectorView theta) const;

  /// mask ← 1 where theta holds a parameter, 0 in the padding between them. Asynchronous.
  /// \throws std::invalid_argument if the mask has another size than theta.
  void mark_parameters(const Stream& stream, VectorView mask) const;

 private:
  friend class ModelBuilder;
  struct State;
  std::shared_ptr<const State> state_;
};

/// Builds a graph, layer by layer; each call returns the number of the new layer's output.
/// Every call throws std::invalid_argument for arguments that make no sense, and InputError if the
/// layer does not fit an image of the fixed size, in words that name the layer.
///
///     ModelBuilder b("tiny", 3);
///     int x = b.conv(b.input(), {.k = 16, .name = "conv1"});
///     x = b.max_pool(x);
///     ...
///     Model model = b.build(b.conv(x, {.k = classes, .r = 1, .s = 1, .relu = false}));
class ModelBuilder {
 public:
  /// \param name  of the model; checkpoints can be loaded again where zoo::make() knows it
  /// \param in_channels  of the images
  /// \param image_h,image_w  the size of every image, which dense() needs; 0: any
  ModelBuilder(std::string name, int in_channels, int image_h = 0, int image_w = 0);

  /// A convolution with bias and ReLU.
  struct Conv {
    std::string name = {};  ///< of its parameters; "" numbers it
    int k = 0;              ///< output channels
    int r = 3;              ///< filter rows
    int s = 3;              ///< filter columns
    int stride = 1;         ///< along both axes, at least 1
    int dilation = 1;       ///< along both axes, at least 1
    int pad_h = -1;         ///< rows; −1: "same" for odd filters, dilation·(R−1)/2
    int pad_w = -1;         ///< columns; −1: "same" for odd filters, dilation·(S−1)/2
    bool relu = true;       ///< max(y, 0), after the bias
    bool bias = true;       ///< one a channel of the output, 0 at first
  };
  int input() const { return 0; }           ///< the number of the images
  int conv(int from, const Conv& options);  ///< convolution, bias and ReLU of node `from`
  /// Transposed convolution to the size of node `like`, whose convolution must have from's size.
  /// Where no tap reaches (a row of an odd size), the output is the bias.
  int conv_transpose(int from, const Conv& options, int like);
  /// The largest of each window; padding never is.
  int max_pool(int from, const PoolWindow& window = {});
  /// The mean of each window, with `count_include_pad` over the padding too, as zeros.
  int average_pool(int from, const PoolWindow& window = {}, bool count_include_pad = false);
  int upsample(int from, int like);  ///< bilinear, to the size of node `like`
  int concat(int a, int b);          ///< channels of a, then of b
  int add(int a, int b);             ///< a + b, of equal shapes
  int relu(int from);                ///< prefer Conv::relu, which costs no pass
  /// k outputs [N,1,1,k], each of all H·W·C elements of an image, with bias and ReLU if asked for.
  /// Needs images of a fixed size.
  int dense(int from, int k, bool relu, const std::string& name = {});

  /// \throws std::invalid_argument naming a layer that does not lead to the output.
  Model build(int output);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Ready-made models.
namespace zoo {
/// The size of a U-Net.
struct UnetOptions {
  int width = 16;         ///< channels of the first level, doubled at each level below
  int depth = 3;          ///< number of poolings
  bool transpose = true;  ///< up-sampling by 2x2 transposed convolution, else bilinear + 3x3 conv
};
/// Ronneberger et al. 2015, with "same" padding: two 3x3 convolutions with ReLU a level.
Model unet(int in_channels, int classes, const UnetOptions& options = {});
/// Long et al. 2015 in the small: an encoder, 1x1 scores at three depths, summed on the way up by
/// 4x4 transposed convolutions, the last step bilinear.
Model fcn(int in_channels, int classes, int width = 16);
/// Encoder-decoder without skip connections, after SegNet (Badrinarayanan et al. 2017), with
/// bilinear up-sampling.
Model segnet(int in_channels, int classes, int width = 16, int depth = 3);
/// The size of a classifier.
struct ClassifierOptions {
  int width = 32;  ///< channels of the first convolution, doubled at each below
  int hidden = 0;  ///< outputs of the first dense layer; 0: 512 of classifier3, 128 of classifier2
};
/// (3x3 conv, 2x2 max pool) x 3 with 32, 64, 128 channels by default, dense 512, dense n.
Model classifier3(int in_channels, int classes, int image_h, int image_w,
                  const ClassifierOptions& options = {});
/// (3x3 conv, 2x2 max pool) x 2 with 32, 64 channels by default, dense 128, dense n.
Model classifier2(int in_channels, int classes, int image_h, int image_w,
                  const ClassifierOptions& options = {});
/// By name, as the command line and checkpoints do: "unet", "unet(width=32, depth=4)", "fcn",
/// "segnet", "classifier3(width=16)", "classifier2". \throws InputError naming the models or
/// options there are, or the layer that does not fit images of this size.
Model make(std::string_view name, int in_channels, int classes, int image_h = 0, int image_w = 0);
/// What make() knows: "unet", "fcn" …
std::vector<std::string> names();
}  // namespace zoo

/// What a plan keeps of a forward pass.
enum class PlanMode {
  kInference,         ///< nothing
  kTraining,          ///< what one backward pass needs
  kCurvature,         ///< what any number of backward and R-forward passes need
  kLowMemoryHessian,  ///< and R-backward passes too, each of which repeats the backward pass
  kHessian,           ///< the same from a backward pass that is kept
};

/// Images [first, first + count) of a batch.
struct ImageRange {
  int first = 0;  ///< counted from 0
  int count = 0;  ///< 0: all from `first` on
};

/// A model on a device for one input shape: all memory planned once, nothing allocates afterwards.
/// Used by one thread at a time.
class Plan {
 public:
  /// \param images_at_once  how many images of the batch the passes after forward() take at most
  ///        (0: all): gradients and derivatives have memory for so many. Fewer than all are for
  ///        kCurvature and the Hessian alone.
  /// \throws InputError naming the layer and both sides if the model does not fit the input;
  /// TargetError if the device has no such memory left; std::invalid_argument for images_at_once
  /// out of range.
  Plan(const Model& model, const Device& device, Shape input, PlanMode mode,
       int images_at_once = 0);
  ~Plan();
  Plan(Plan&&) noexcept;             ///< the other can then only be assigned to or destroyed
  Plan& operator=(Plan&&) noexcept;  ///< as the move constructor

  const Shape& input_shape() const;   ///< of x
  const Shape& output_shape() const;  ///< [N,H,W,classes], of a classifier [N,1,1,classes]
  int images_at_once() const;         ///< that the passes after forward() take
  /// Device memory of this plan: activations, gradients, workspace; not theta and not the input.
  std::size_t memory_bytes() const;

  /// Runs the layers on x; the result is output() until the next forward(). A plan that is not for
  /// curvature takes fewer images than input_shape() too: then the first so many of output() are
  /// theirs, and the passes that follow are over them. Asynchronous.
  void forward(const Stream& stream, ConstVectorView theta, ConstTensorView x);
  TensorView output() const;  ///< [output_shape()], in memory of the plan

  /// r_output() = R{output()} = d output(theta + εv) / dε at ε = 0, for the theta and x of the last
  /// forward(), with ReLU masks and pooling winners as they were there; v [parameter_count()]. In
  /// time about a forward pass of twice the arithmetic. For `images` of the batch, whose r_output()
  /// lies at the beginning; at most images_at_once(). Asynchronous.
  /// Source: Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural Computation 6 (1994).
  /// \throws std::logic_error unless the plan is for curvature and a forward() came before;
  /// std::invalid_argument for images that there are not, or more than images_at_once().
  void r_forward(const Stream& stream, ConstVectorView theta, ConstVectorView v, ConstTensorView x,
                 ImageRange images = {});
  /// What convolution or dense layer `node` of Model::nodes() read in the last forward(), which was
  /// on `x`; a dense layer's input as [N,1,1,H·W·C]. \throws std::logic_error unless the plan is
  /// for kCurvature or kHessian; std::invalid_argument if `node` is no such layer.
  ConstTensorView layer_input(int node, ConstTensorView x) const;
  /// [as output(), of images_at_once() images]; valid until the next forward() or backward().
  TensorView r_output() const;

  /// product (+)= R{grad} = d grad(theta + εv) / dε at ε = 0, exactly, for the loss whose gradient
  /// lies in repeated_output_gradient() and its derivative along v in r_output_gradient(). Beside
  /// the R-backward pass it repeats the backward pass, without the gradient of the parameters, and
  /// uses both gradients up; in a plan for kHessian, keep_gradients() has done so. Asynchronous.
  /// Source: Pearlmutter 1994, as r_forward(), which it follows, once, on the same `images`.
  /// \throws std::logic_error unless the plan is for the Hessian, or if there are no kept gradients
  /// of these images; std::invalid_argument as r_forward().
  void r_backward(const Stream& stream, ConstVectorView theta, ConstVectorView v, ConstTensorView x,
                  bool accumulate, VectorView product, ImageRange images = {});
  /// Repeats the backward pass from repeated_output_gradient() on, without the gradient of the
  /// parameters, and keeps what R-backward passes read of it until the next forward(). For any
  /// number of images, which lie at their places in the batch. Asynchronous.
  /// \throws std::logic_error unless the plan is for kHessian and a forward() came before.
  void keep_gradients(const Stream& stream, ConstVectorView theta, ConstTensorView x,
                      ImageRange images = {});
  /// Where the loss writes the gradient of the output for r_backward(), after r_forward(), or for
  /// keep_gradients(). [as r_output(); as output() in a plan for kHessian]
  TensorView repeated_output_gradient() const;
  /// Where it writes R of that gradient: the loss's Hessian times r_output().
  TensorView r_output_gradient() const;
  /// Where the loss writes the gradient of the output, after forward() or r_forward(), which use
  /// this memory for other things. [as r_output()] \throws std::logic_error if the plan is for
  /// kInference.
  TensorView output_gradient() const;
  /// grad (+)= dL/dtheta of the loss whose gradient lies in output_gradient(), for the x and theta
  /// of the last forward(), over `images` of the batch. Every element of grad is written.
  /// Asynchronous.
  ///
  /// It uses up the output's gradient, whose memory holds later gradients, and, in a plan for
  /// kTraining, what forward() kept. \throws std::logic_error unless it follows a forward(), in a
  /// plan for kTraining once; std::invalid_argument as r_forward().
  void backward(const Stream& stream, ConstVectorView theta, ConstTensorView x, bool accumulate,
                VectorView grad, ImageRange images = {});
  /// to (+)= Σ_n grad_n², grad_n what backward() gives for image n alone; otherwise as backward(),
  /// also in time and in what it uses up.
  void squared_gradients(const Stream& stream, ConstVectorView theta, ConstTensorView x,
                         bool accumulate, VectorView to, ImageRange images = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg
