// A plan's work as a fixed list of steps over planned buffers: what Plan executes.
//
// Curvature passes join here: r_forward() and r_backward() are further lists of steps over the same
// buffers (and some of their own), made by a planner beside ForwardPlanner and BackwardPlanner.
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
  kMaxPoolForward,
  kAveragePoolForward,
  kUpsampleForward,
  kReluForward,
  kCopy,  // of activations or gradients
  kReluBackward,
  kBiasGradient,
  kConvWeightGradient,
  kConvTransposeWeightGradient,
  kConvDataGradient,
  kConvTransposeDataGradient,
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
};

struct Step {
  StepKind kind = StepKind::kCopy;
  int node = 0;  // whose layer, and whose parameters
  Operand x;     // an activation that is read: the layer's input, or the output of a ReLU
  Operand dy;    // a gradient that is read
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
  std::vector<BufferLifetime> buffers;  // in steps: forward, then the loss, then backward
  Operand output;
  Operand output_gradient;
  std::vector<Gap> gaps;  // that backward() zeroes
};

/// \throws InputError naming the layer if the model does not fit the input.
Schedule plan_schedule(const Model& model, const Device& device, const Shape& input, PlanMode mode);

}  // namespace curvseg
