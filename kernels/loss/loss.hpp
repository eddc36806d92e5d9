// Losses. Plain C++, shared by the host API and every target.
#pragma once

#include <cstdint>

#include "curvseg/labels.hpp"

namespace curvseg {

/// total[0] = Σ_p w_{y_p} over pixels whose label is in [0, classes): the loss's denominator.
/// `class_weights` [classes] may be nullptr (all 1). Adds to the old total if `accumulate`.
struct LabelWeight {
  std::int64_t pixels = 0;
  int classes = 0;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr;
  float* total = nullptr;
  bool accumulate = false;
  float* workspace = nullptr;
};

/// Softmax cross-entropy per pixel, loss and gradient in one pass, with D = denominator[0]:
///
///   p = softmax(x),  q_c = (1−ε)·w_y·[c = y] + (ε/C)·w_c,  s = Σ_c q_c
///   loss[0]  = Σ_pixels −Σ_c q_c·log p_c / D        (+ old if `accumulate`)
///   dx_c     = (s·p_c − q_c) / D
///
/// over pixels with a label in [0, classes); the others contribute nothing and get dx = 0. D = 0
/// gives loss 0 and dx 0. Stable: log p through x − max x − log Σ exp. A logit of NaN or +inf gives
/// a loss of NaN; one of −inf is a class of probability 0, and gives a loss of +inf where q_c > 0.
/// Source: PyTorch's CrossEntropyLoss (weight, ignore_index, label_smoothing).
struct SoftmaxCrossEntropy {
  std::int64_t pixels = 0;
  int classes = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr;  // may be nullptr
  float label_smoothing = 0.0f;          // ε
  const float* denominator = nullptr;    // device
  float* loss = nullptr;                 // device, one float
  float* dx = nullptr;                   // may be nullptr: loss only
  std::int64_t ld_dx = 0;
  bool accumulate = false;
  float* workspace = nullptr;
};

/// The Hessian of SoftmaxCrossEntropy with respect to x, times u, pixel by pixel, D =
/// denominator[0]:
///
///   hu_c = s·p_c·(u_c − Σ_k p_k·u_k) / D,   that is  s·(diag p − p pᵀ)·u / D
///
/// with p and s as there; 0 for pixels without a label in [0, classes), and everywhere if D = 0.
/// Overwrites; `hu` may be `u`. Positive semidefinite. Of `at`, what a loss writes is not looked
/// at: loss, dx, accumulate, workspace.
struct SoftmaxCrossEntropyHessian {
  SoftmaxCrossEntropy at;
  const float* u = nullptr;
  std::int64_t ldu = 0;
  float* hu = nullptr;
  std::int64_t ld_hu = 0;
};

/// sampled[p] ~ softmax(x[p]), a class a pixel: with e = exp(x − max x), the first c for which
///
///   Σ_{k≤c} e_k > u·Σ_k e_k,   u = 2^-23 · (w >> 9),  w = word 0 of Philox((p, stream), seed[0])
///
/// never one of probability 0; kIgnoreLabel for pixels without a label in [0, classes). The same on
/// every target. Of `at`, pixels, classes, x and labels count. Overwrites.
struct SampleLabels {
  SoftmaxCrossEntropy at;
  const unsigned long long* seed = nullptr;  // device
  std::uint64_t stream = 0;
  std::int32_t* sampled = nullptr;
};

/// A Fisher matrix of SoftmaxCrossEntropy with respect to x, the pixels its terms, times u, pixel
/// by pixel, D = denominator[0]:
///
///   fu = s·r·(rᵀu) / D,   r = softmax(x) − t,   t = [c = sampled] or, without `sampled`, q / s
///
/// with q and s as there: s·r is the gradient of the pixel's own loss, were t its target. Labels
/// sampled from the softmax have the SoftmaxCrossEntropyHessian for their mean. Without `u` the
/// root of it, fu = √s·r / D. 0 for pixels without a label in [0, classes) and those with s = 0,
/// and everywhere if D = 0. Overwrites; `fu` may be `u`. Of `at`, what a loss writes is not looked
/// at.
struct SoftmaxCrossEntropyFisher {
  SoftmaxCrossEntropy at;
  const std::int32_t* sampled = nullptr;  // may be nullptr
  const float* u = nullptr;               // may be nullptr
  std::int64_t ldu = 0;
  float* fu = nullptr;
  std::int64_t ld_fu = 0;
};

/// loss[0] = Σ (x − t)² / D, dx = 2 (x − t) / D over all elements, D = denominator[0]. With
/// `labels` [pixels] there is no target tensor: t is 1 at the pixel's label and 0 elsewhere, and
/// pixels whose label is not in [0, channels) contribute nothing and get dx = 0.
struct MeanSquaredError {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const float* target = nullptr;
  std::int64_t ld_target = 0;
  const float* denominator = nullptr;
  float* loss = nullptr;
  float* dx = nullptr;
  std::int64_t ld_dx = 0;
  bool accumulate = false;
  float* workspace = nullptr;
  const std::int32_t* labels = nullptr;  // or a target
};

/// The Hessian of MeanSquaredError times u: hu = 2·u / D over all elements, D = denominator[0];
/// with `labels`, 0 at pixels whose label is not in [0, channels). Overwrites; `hu` may be `u`.
struct MeanSquaredErrorHessian {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* u = nullptr;
  std::int64_t ldu = 0;
  const float* denominator = nullptr;
  float* hu = nullptr;
  std::int64_t ld_hu = 0;
  const std::int32_t* labels = nullptr;  // may be nullptr
};

/// The empirical Fisher matrix of MeanSquaredError with labels, the pixels its terms, times u:
/// fu = g·(gᵀu) / D pixel by pixel, g = 2 (x − t), D = denominator[0]; 0 at pixels whose label is
/// not in [0, channels). Overwrites; `fu` may be `u`.
struct MeanSquaredErrorFisher {
  std::int64_t pixels = 0;
  int channels = 0;
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const std::int32_t* labels = nullptr;
  const float* denominator = nullptr;
  const float* u = nullptr;
  std::int64_t ldu = 0;
  float* fu = nullptr;
  std::int64_t ld_fu = 0;
};

}  // namespace curvseg
