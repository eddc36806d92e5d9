// Bilinear resizing to a given size, half-pixel centres. Plain C++.
#pragma once

#include <cstdint>

#include "pool/pool.hpp"

namespace curvseg {

/// x [N,H,W,C] to y [N,P,Q,C].
struct ResizeProblem {
  int n = 0, h = 0, w = 0, c = 0;
  int p = 0, q = 0;
};

/// y[n,p,q,c]: sample x at ((p+½)·H/P − ½, (q+½)·W/Q − ½), clamped to [0, H−1] x [0, W−1],
/// bilinear. (PyTorch's interpolate(mode="bilinear", align_corners=False).) Overwrites.
struct BilinearForward {
  ResizeProblem problem;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
};

/// dx = the adjoint of BilinearForward applied to dy: a gather, every element of dx written once.
struct BilinearBackward {
  ResizeProblem problem;
  const float* dy = nullptr;
  std::int64_t ldy = 0;
  float* dx = nullptr;
  std::int64_t ldx = 0;
  GradientEpilogue epilogue;
};

}  // namespace curvseg
