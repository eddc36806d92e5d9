// What this folder puts into the table of kernels.
#pragma once

#include "exec/stream.hpp"
#include "loss/loss.hpp"

namespace curvseg::CURVSEG_TARGET {

std::int64_t label_weight_workspace(const LabelWeight&);
void label_weight(StreamHandle, const LabelWeight&);
std::int64_t softmax_cross_entropy_workspace(const SoftmaxCrossEntropy&);
void softmax_cross_entropy(StreamHandle, const SoftmaxCrossEntropy&);
void softmax_cross_entropy_hessian(StreamHandle, const SoftmaxCrossEntropyHessian&);
void sample_labels(StreamHandle, const SampleLabels&);
void softmax_cross_entropy_fisher(StreamHandle, const SoftmaxCrossEntropyFisher&);
std::int64_t mean_squared_error_workspace(const MeanSquaredError&);
void mean_squared_error(StreamHandle, const MeanSquaredError&);
void mean_squared_error_hessian(StreamHandle, const MeanSquaredErrorHessian&);
void mean_squared_error_fisher(StreamHandle, const MeanSquaredErrorFisher&);

}  // namespace curvseg::CURVSEG_TARGET
