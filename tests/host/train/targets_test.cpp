// The trainer on the targets whose streams are late and whose kernels run in the GPU's blocks: a
// missing wait, an early free or a race shows there.
#include <gtest/gtest.h>

#include "support/devices.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

struct Outcome {
  TrainingState state;
  EvaluationResult evaluation;
};

Outcome train_on(const std::string& device, LossKind loss) {
  const WavesDataset data({.count = 3, .height = 6, .width = 7, .ignore = true});
  TrainerOptions options{.batch = 2,
                         .epochs = 2,
                         .optimizer = {.name = "adam"},
                         .schedule = {.learning_rate = 0.01},
                         .loss = {.kind = loss},
                         .clip_norm = 0.5f};
  Trainer trainer(Stream(Device::open(device)), test::tiny_model(), options);
  trainer.fit(data, &data);
  return {trainer.state(), trainer.evaluate(data)};
}

class TargetTraining : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!testing::has_device(GetParam()))
      GTEST_SKIP() << "there is no device " << GetParam() << " here";
  }
};

TEST_P(TargetTraining, DoesWhatTheHostDoes) {
  for (const LossKind loss : {LossKind::kCrossEntropy, LossKind::kMeanSquaredError}) {
    const Outcome host = train_on("host", loss), other = train_on(GetParam(), loss);
    EXPECT_NEAR(host.evaluation.loss, other.evaluation.loss, 1e-5);
    ASSERT_EQ(host.state.parameters.size(), other.state.parameters.size());
    for (std::size_t i = 0; i < host.state.parameters.size(); ++i) {
      const NamedTensor &a = host.state.parameters[i], &b = other.state.parameters[i];
      for (std::size_t j = 0; j < a.values.size(); ++j)
        EXPECT_NEAR(a.values[j], b.values[j], 1e-4f) << a.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, TargetTraining, ::testing::Values("emulated", "cuda"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace curvseg
