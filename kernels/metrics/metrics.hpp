// Predictions and their confusion with the truth. Plain C++.
#pragma once

#include <cstdint>

namespace curvseg {

/// label[p] = the class of the largest x[p, ·]; the first one wins, a NaN wins. Overwrites.
struct Argmax {
  std::int64_t pixels = 0;
  int classes = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  std::int32_t* label = nullptr;
};

/// matrix[truth · classes + prediction] += pixels with that pair; labels outside [0, classes) are
/// left out. Integer counts: the order of additions does not matter.
struct ConfusionMatrix {
  std::int64_t pixels = 0;
  int classes = 0;
  const std::int32_t* truth = nullptr;
  const std::int32_t* prediction = nullptr;
  unsigned long long* matrix = nullptr;
};

}  // namespace curvseg
