// The loss of any batch is the mean over its labelled pixels: a smaller last batch, pixels without
// label and class weights change the denominator, and nothing else.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/devices.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

struct Reference {
  double sum = 0.0;
  double weight = 0.0;
};

/// Σ −Σ_c q_c log p_c and Σ w_y over the pixels, in double, by the definition.
Reference cross_entropy(const Prediction& prediction, const std::vector<std::int32_t>& labels,
                        const LossOptions& loss) {
  const int classes = prediction.shape.c;
  const auto weight = [&](int c) {
    return loss.class_weights.empty()
               ? 1.0
               : static_cast<double>(loss.class_weights[static_cast<std::size_t>(c)]);
  };
  const double smoothing = static_cast<double>(loss.label_smoothing);
  Reference result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    const float* x = &prediction.logits[i * static_cast<std::size_t>(classes)];
    double exps = 0.0;
    for (int c = 0; c < classes; ++c) exps += std::exp(static_cast<double>(x[c]));
    for (int c = 0; c < classes; ++c) {
      const double q =
          (c == labels[i] ? (1.0 - smoothing) * weight(c) : 0.0) + smoothing / classes * weight(c);
      result.sum -= q * (static_cast<double>(x[c]) - std::log(exps));
    }
    result.weight += weight(labels[i]);
  }
  return result;
}

Reference squared_error(const Prediction& prediction, const std::vector<std::int32_t>& labels,
                        const LossOptions&) {
  const int classes = prediction.shape.c;
  Reference result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    for (int c = 0; c < classes; ++c) {
      const double x = static_cast<double>(
          prediction.logits[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(c)]);
      result.sum += std::pow(x - (c == labels[i] ? 1.0 : 0.0), 2);
      result.weight += 1.0;
    }
  }
  return result;
}

std::vector<LossOptions> losses() {
  return {{},
          {.class_weights = {0.5f, 3.0f}, .label_smoothing = 0.2f},
          {.kind = LossKind::kMeanSquaredError}};
}

Reference reference(Trainer& trainer, const Batch& batch, const LossOptions& loss) {
  const Prediction prediction = trainer.predict(batch, {.logits = true});
  return loss.kind == LossKind::kCrossEntropy ? cross_entropy(prediction, batch.labels, loss)
                                              : squared_error(prediction, batch.labels, loss);
}

TrainerOptions plain_descent(const LossOptions& loss) {
  return {.batch = 3,
          .normalisation = Normalisation{},
          .optimizer = {.name = "sgd", .sgd = {.momentum = 0.0f}},
          .schedule = {.learning_rate = 1.0},
          .loss = loss};
}

/// −∇L of one batch at the initial parameters.
std::vector<float> descent(const LossOptions& loss, const Batch& batch) {
  Trainer trainer(test::test_stream(), test::tiny_model(), plain_descent(loss));
  const std::vector<float> before = testing::values_of(trainer.stream(), trainer.theta());
  trainer.step(batch);
  trainer.last_step();
  std::vector<float> change = testing::values_of(trainer.stream(), trainer.theta());
  for (std::size_t i = 0; i < change.size(); ++i) change[i] -= before[i];
  return change;
}

TEST(PartialBatch, EvaluationIsTheMeanOverAllLabelledPixels) {
  const WavesDataset data({.count = 7, .mixed_sizes = true, .ignore = true});
  for (const LossOptions& loss : losses()) {
    Trainer trainer(test::test_stream(), test::tiny_model(), plain_descent(loss));
    Reference expected;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const Reference one = reference(trainer, test::batch_of(data, i, 1), loss);
      expected.sum += one.sum;
      expected.weight += one.weight;
    }
    const EvaluationResult result = trainer.evaluate(data);
    EXPECT_NEAR(result.loss, expected.sum / expected.weight, 1e-6 * result.loss);
    EXPECT_EQ(result.images, 7U);
  }
}

TEST(PartialBatch, TrainingLossHasTheDenominatorOfItsBatch) {
  const WavesDataset data({.count = 7, .ignore = true});
  for (const LossOptions& loss : losses()) {
    for (const std::size_t count : {3U, 2U, 1U}) {
      Trainer trainer(test::test_stream(), test::tiny_model(), plain_descent(loss));
      const Batch batch = test::batch_of(data, 2, count);
      const Reference expected = reference(trainer, batch, loss);
      trainer.step(batch);
      const StepReport report = trainer.last_step();
      EXPECT_NEAR(report.loss, expected.sum / expected.weight, 1e-6 * report.loss);
      EXPECT_EQ(report.step, 1U);
    }
  }
}

TEST(PartialBatch, GradientIsTheWeightedMeanOfTheImages) {
  const WavesDataset data({.count = 7, .ignore = true});
  for (const LossOptions& loss : losses()) {
    Trainer trainer(test::test_stream(), test::tiny_model(), plain_descent(loss));
    const std::vector<float> whole = descent(loss, test::batch_of(data, 1, 4));
    std::vector<double> expected(whole.size());
    double weight = 0.0;
    for (std::size_t i = 1; i < 5; ++i) {
      const Batch image = test::batch_of(data, i, 1);
      const double share = reference(trainer, image, loss).weight;
      const std::vector<float> one = descent(loss, image);
      for (std::size_t j = 0; j < one.size(); ++j)
        expected[j] += share * static_cast<double>(one[j]);
      weight += share;
    }
    for (std::size_t j = 0; j < whole.size(); ++j)
      EXPECT_NEAR(static_cast<double>(whole[j]), expected[j] / weight, 2e-6) << "element " << j;
  }
}

TEST(PartialBatch, WithoutAnyLabelNothingMoves) {
  const WavesDataset data({.count = 4, .all_ignored = true});
  for (const LossOptions& loss : losses()) {
    for (const float change : descent(loss, test::batch_of(data, 0, 4))) EXPECT_EQ(change, 0.0f);
    Trainer trainer(test::test_stream(), test::tiny_model(), plain_descent(loss));
    const EvaluationResult result = trainer.evaluate(data);
    EXPECT_EQ(result.loss, 0.0);
    EXPECT_EQ(result.confusion.total(), 0U);
  }
}

}  // namespace
}  // namespace curvseg
