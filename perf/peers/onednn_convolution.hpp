// A convolution of the list by oneDNN, version 2 or 3, in one of its directions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "perf/support/convolution.hpp"

namespace curvseg::perf {

/// NHWC as ours, or the layout that oneDNN likes best.
enum class OneDnnLayout { kNhwc, kAny };

/// Filters lie in oneDNN's own layout from the start; activations rotate, as ours do.
class OneDnnConvolution {
 public:
  OneDnnConvolution(const Conv2dCase& c, Direction direction, OneDnnLayout layout);
  ~OneDnnConvolution();

  void run();
  /// What the last run wrote: [N,H,W,C] or [R,S,C,K].
  std::vector<float> result();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "2.6.3"
std::string onednn_version();

}  // namespace curvseg::perf
