// Pooling problems. Plain C++, shared by the host API and every target.
#pragma once

#include <cstdint>

namespace curvseg {

/// Windows of r x s at stride and padding over x [N,H,W,C], outputs y [N,P,Q,C].
struct PoolProblem {
  int n = 0, h = 0, w = 0, c = 0;
  int p = 0, q = 0;
  int r = 2, s = 2;
  int stride_h = 2, stride_w = 2;
  int pad_h = 0, pad_w = 0;
};

/// y[n,p,q,c] = max over the window; padding counts as −inf, the first maximum in (r,s) order wins,
/// a NaN wins over every number. `index` [N,P,Q,C] (dense) gets r·S + s of the winner. Overwrites.
struct MaxPoolForward {
  PoolProblem problem;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
  std::uint16_t* index = nullptr;  // may be nullptr: inference keeps none
};

/// y[n,p,q,c] = x at the stored winner: the R-pass of max pooling. Overwrites.
struct MaxPoolSelect {
  PoolProblem problem;
  const std::uint16_t* index = nullptr;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
};

/// What a gradient goes through on its way to memory: added to the old value (`accumulate`), then
/// zeroed where `mask` is not positive (`mask` may be nullptr): the derivative of the ReLU that
/// made the pooled tensor. Old values must be masked already.
struct GradientEpilogue {
  const float* mask = nullptr;
  std::int64_t ld_mask = 0;
  bool accumulate = false;
};

/// dx[n,h,w,c] = Σ dy over the windows that (h,w) won: a gather, every element of dx written once.
struct MaxPoolBackward {
  PoolProblem problem;
  const std::uint16_t* index = nullptr;
  const float* dy = nullptr;
  std::int64_t ldy = 0;
  float* dx = nullptr;
  std::int64_t ldx = 0;
  GradientEpilogue epilogue;
};

/// y = mean over the window; padding counts as zeros when `count_include_pad`, else not at all.
struct AveragePoolForward {
  PoolProblem problem;
  bool count_include_pad = false;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  float* y = nullptr;
  std::int64_t ldy = 0;
};

/// dx[n,h,w,c] = Σ dy[window] / count(window) over the windows that hold (h,w).
struct AveragePoolBackward {
  PoolProblem problem;
  bool count_include_pad = false;
  const float* dy = nullptr;
  std::int64_t ldy = 0;
  float* dx = nullptr;
  std::int64_t ldx = 0;
  GradientEpilogue epilogue;
};

}  // namespace curvseg
