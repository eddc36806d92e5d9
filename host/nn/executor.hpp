// Runs the steps of a schedule.
#pragma once

#include <vector>

#include "host/nn/schedule.hpp"

namespace curvseg {

/// What varies between calls of the same plan.
struct Call {
  const Stream& stream;
  const float* theta = nullptr;
  const float* direction = nullptr;  // of the R-pass
  ConstTensorView image = {};        // the whole batch
  float* grad = nullptr;
  bool accumulate = false;  // into grad
  bool squares = false;     // of each image's gradient, added
};

void execute(const Model& model, const std::vector<Step>& steps, const Call& call);

/// The steps on some images of the batch that a forward pass was on. Their gradients and
/// derivatives along the direction lie at the beginning of their memory.
void execute_on_images(const Model& model, const std::vector<Step>& steps, Call call,
                       ImageRange images);

}  // namespace curvseg
