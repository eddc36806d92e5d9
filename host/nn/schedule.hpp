// A plan's work as a fixed list of steps over planned buffers: what Plan executes.
//
// The R-passes of curvature products are further lists of steps over the same buffers and some of
// their own: plan_r_forward.cpp and plan_r_backward.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "host/nn/layout.hpp"
#include "host/nn/memory_plan.hpp"

namespace curvseg {

enum class StepKind : std::uint8_t {
  kConvForward,
  kConvTransposeForward,
  kConvRForward,
  kConvTransposeRForward,
  kMaxPoolForward,
  kMaxPoolSelect,
  kAveragePoolForward,
  kUpsampleForward,
  kReluForward,
  kCopy,  // of activations or gradients
  kZero,
  kReluBackward,
  kBiasGradient,
  kConvWeightGradient,
  kConvTransposeWeightGradient,
  kConvRWeightGradient,
  kConvTransposeRWeightGradient,
  kConvDataGradient,
  kConvTransposeDataGradient,
  kConvRDataGradient,
  kConvTransposeRDataGradient,
  kMaxPoolBackward,
  kAveragePoolBackward,
  kUpsampleBackward,
};

inline constexpr int kNoBuffer = -1;
inline constexpr int kImage = -2;  // the x of the call

/// A tensor in a planned buffer; `view.data` is set once the arena exists, and stays nullptr for
/// the image and for no tensor at all.
struct Operand {
  int buffer = kNoBuffer;
  int channel = 0;
  TensorView view;
  bool whole = false;  // of the whole batch, in a pass over some of its images too
};

struct Step {
  StepKind kind = StepKind::kCopy;
  int node = 0;  // whose layer, and whose parameters
  Operand x;     // an activation that is read: the layer's input, or the output of a ReLU
  Operand rx;    // R{x}: the derivative of x along the direction; none where it is 0
  Operand dy;    // a gradient that is read
  Operand rdy;   // R{dy}
  Operand mask;  // an activation: `out` is zeroed where it is not positive
  Operand out;
  bool accumulate = false;  // adds to `out`
  int index_buffer = kNoBuffer;
  std::uint16_t* index = nullptr;
  int workspace_buffer = kNoBuffer;
  Workspace workspace;
};

/// Elements [first, first + count) of the flat gradient that lie between parameters.
struct Gap {
  std::int64_t first = 0, count = 0;
};

struct Schedule {
  std::vector<Step> forward;
  std::vector<Step> backward;
  std::vector<Step> r_forward;
  /// The backward pass without its parameters, whose gradients r_backward reads. Empty if they are
  /// not kept: then these steps are among those of r_backward.
  std::vector<Step> kept_backward;
  std::vector<Step> r_backward;
  /// In steps: forward, the loss, backward, kept_backward, r_forward, the loss's Hessian,
  /// r_backward. In a plan for curvature, what forward leaves for the other passes stays to the
  /// end: they come again and again. So do the outputs that loss and Hessian read.
  std::vector<BufferLifetime> buffers;
  Operand output;
  Operand r_output;
  Operand output_gradient;
  Operand repeated_output_gradient;  // of the backward pass that r_backward reads
  Operand r_output_gradient;
  std::vector<Gap> gaps;  // that backward() zeroes
};

/// Gradients and derivatives along a direction are of `images_at_once` images (0: all), activations
/// of the whole batch. \throws InputError naming the layer if the model does not fit the input.
Schedule plan_schedule(const Model& model, const Device& device, const Shape& input, PlanMode mode,
                       int images_at_once = 0);

}  // namespace curvseg
