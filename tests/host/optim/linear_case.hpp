/// @file
/// A linear model with the mean squared error on batches that change from step to step.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/random_data.hpp"
#include "tests/host/optim/training_case.hpp"

namespace curvseg::test {

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

/// 3 images of 2x3 pixels with 3 channels, correlated; `scale` times as bright.
struct LinearBatch {
  explicit LinearBatch(unsigned seed, float scale = 1.0f)
      : x(testing::uniform_floats(54, seed)), labels(18) {
    for (std::size_t i = 1; i < x.size(); ++i) x[i] += 0.3f * x[i - 1];
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = x[3 * i] + 0.4f * x[3 * i + 2] > 0.1f ? 1 : 0;
    for (float& each : x) each *= scale;
  }
  static Shape shape() { return {3, 2, 3, 3}; }

  Floats x;
  std::vector<std::int32_t> labels;
};

inline std::unique_ptr<TrainingCase> linear_case(const std::string& device, unsigned seed = 5) {
  const LinearBatch batch(seed);
  return std::make_unique<TrainingCase>(device, linear_model(3, 2), LinearBatch::shape(), batch.x,
                                        batch.labels, LossKind::kMeanSquaredError);
}

/// Orthogonal inputs: the Hessian is diagonal, and what Hutchinson's method finds is exact.
inline std::unique_ptr<TrainingCase> diagonal_case(const std::string& device) {
  const Floats x{1, 2, 0.5f, -1, 2, -0.5f, 1, -2, -0.5f, -1, -2, 0.5f};
  return std::make_unique<TrainingCase>(device, linear_model(3, 2), Shape{4, 1, 1, 3}, x,
                                        std::vector<std::int32_t>{0, 1, 1, 0},
                                        LossKind::kMeanSquaredError);
}

inline void set_batch(TrainingCase& on, unsigned seed, float scale = 1.0f) {
  const LinearBatch batch(seed, scale);
  on.set_batch(batch.x, batch.labels);
}

inline double inner(const Doubles& x, const Doubles& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

inline void expect_near(const Floats& actual, const Doubles& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_TRUE(std::fabs(double{actual[i]} - expected[i]) <= tolerance)
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
}

}  // namespace curvseg::test
