#include "host/optim/batch_objective.hpp"

#include <cmath>
#include <limits>

#include "host/optim/flat_vector.hpp"

namespace curvseg {

BatchObjective::BatchObjective(const Stream& stream, std::int64_t parameters, float l2)
    : l2_(l2),
      trial_(zeroed_vector(stream, parameters)),
      numbers_(zeroed_vector(stream, kNumbers)),
      workspace_(stream.device(), static_cast<std::int64_t>(dot_products_workspace(
                                      stream.device(), parameters, kNumbers)) /
                                      static_cast<std::int64_t>(sizeof(float))),
      read_(kNumbers) {}

double BatchObjective::begin(const StepContext& context) {
  if (l2_ > 0.0f)
    linear_combination(context.stream, {{context.grad}, {context.theta, l2_}}, context.grad);
  // Read back with the loss.
  if (context.squared_norm)
    linear_combination(context.stream, {{{context.squared_norm, 1}}}, {numbers_.data() + 2, 1});
  const double loss = value(context, context.theta);
  gradient_is_finite_ = !context.squared_norm || std::isfinite(read_[2]);
  return loss;
}

double BatchObjective::trial(const StepContext& context, ConstVectorView d, double scale) {
  linear_combination(context.stream, {{context.theta}, {d, static_cast<float>(scale)}},
                     view(trial_));
  BatchLoss& batch = *context.batch;
  batch.linearise(view(trial_), batch.x(), batch.labels());
  batch.value();
  return value(context, view(trial_));
}

double BatchObjective::value(const StepContext& context, ConstVectorView theta) {
  const Stream& stream = context.stream;
  linear_combination(stream, {{{context.batch->loss(), 1}}}, {numbers_.data(), 1});
  if (l2_ > 0.0f)
    dot_products(stream, {{theta, theta}}, {workspace_.data(), workspace_.bytes()},
                 numbers_.data() + 1);
  read(stream);
  const double penalty = l2_ > 0.0f ? 0.5 * double{l2_} * static_cast<double>(read_[1]) : 0.0;
  return static_cast<double>(read_[0]) + penalty;
}

const std::vector<float>& BatchObjective::products(const Stream& stream,
                                                   std::initializer_list<VectorPair> pairs) {
  dot_products(stream, pairs, {workspace_.data(), workspace_.bytes()}, numbers_.data());
  read(stream);
  return read_;
}

void BatchObjective::read(const Stream& stream) {
  numbers_.download(stream, read_.data(), kNumbers);
  stream.synchronise();
}

bool within_rounding(double change, double expected, double loss) {
  constexpr double kRounding = 4.0 * std::numeric_limits<float>::epsilon();
  const double noise = kRounding * std::fabs(loss);
  return std::fabs(change) <= noise && std::fabs(expected) <= noise;
}

double reduction_ratio(double change, double predicted, double loss) {
  if (within_rounding(change, predicted, loss)) return 1.0;
  if (!std::isfinite(change)) return std::numeric_limits<double>::quiet_NaN();
  const double ratio = change / predicted;
  return predicted < 0.0 ? ratio : -std::fabs(ratio);
}

}  // namespace curvseg
