/// \file
/// The losses that networks are trained with.
#pragma once

#include <cstdint>
#include <vector>

namespace curvseg {

/// The losses.
enum class LossKind : std::uint8_t {
  /// Per pixel softmax cross-entropy: the mean weighted by the class weights of the labels.
  kCrossEntropy,
  /// Mean of (x − t)² over classes and labelled pixels, with t one-hot.
  kMeanSquaredError,
};

/// The loss and its options.
struct LossOptions {
  LossKind kind = LossKind::kCrossEntropy;  ///< L; regularisation is the optimiser's
  std::vector<float> class_weights = {};    ///< cross-entropy: one per class, ≥ 0; empty: all 1
  float label_smoothing = 0.0f;             ///< cross-entropy: ε in [0, 1]
};

}  // namespace curvseg
