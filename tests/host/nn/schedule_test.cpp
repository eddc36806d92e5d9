// What a plan does and does not do, step by step.
#include "host/nn/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using testing::RandomGraph;

Schedule schedule_of(const Model& model, const Shape& input, PlanMode mode = PlanMode::kTraining) {
  return plan_schedule(model, Device::open("host"), input, mode);
}

int count(const std::vector<Step>& steps, StepKind kind) {
  return static_cast<int>(std::count_if(steps.begin(), steps.end(),
                                        [&](const Step& step) { return step.kind == kind; }));
}

TEST(Schedule, UnetNeedsNoCopyAndNoReluPass) {
  for (const char* name : {"unet", "unet(transpose=false)", "unet(width=4, depth=2)"}) {
    const Schedule schedule = schedule_of(zoo::make(name, 3, 3), {1, 45, 37, 3});
    EXPECT_EQ(count(schedule.forward, StepKind::kCopy), 0);
    EXPECT_EQ(count(schedule.backward, StepKind::kCopy), 0);
    EXPECT_EQ(count(schedule.backward, StepKind::kReluBackward), 0);
  }
}

TEST(Schedule, RPassesOfAUnetNeedNoCopyAndNoReluPass) {
  for (const PlanMode mode : {PlanMode::kHessian, PlanMode::kLowMemoryHessian}) {
    const Schedule schedule = schedule_of(zoo::make("unet", 3, 3), {1, 45, 37, 3}, mode);
    ASSERT_FALSE(schedule.r_forward.empty() || schedule.r_backward.empty());
    EXPECT_EQ(schedule.kept_backward.empty(), mode == PlanMode::kLowMemoryHessian);
    for (const auto* steps : {&schedule.r_forward, &schedule.kept_backward, &schedule.r_backward})
      for (const StepKind kind : {StepKind::kCopy, StepKind::kReluForward, StepKind::kReluBackward})
        EXPECT_EQ(count(*steps, kind), 0) << static_cast<int>(kind);
  }
}

TEST(Schedule, FcnAddsInEpilogues) {
  const Schedule schedule = schedule_of(zoo::make("fcn", 3, 3), {1, 48, 40, 3});
  EXPECT_EQ(count(schedule.forward, StepKind::kCopy), 0);
  EXPECT_EQ(count(schedule.backward, StepKind::kCopy), 0);
  EXPECT_EQ(count(schedule.backward, StepKind::kReluBackward), 0);
}

TEST(Schedule, NoGradientOfTheImage) {
  const Schedule schedule = schedule_of(zoo::make("unet(depth=1)", 3, 3), {1, 8, 8, 3});
  for (const Step& step : schedule.backward) EXPECT_NE(step.out.buffer, kImage);
  const auto of_first_layer = std::count_if(schedule.backward.begin(), schedule.backward.end(),
                                            [](const Step& step) { return step.node == 1; });
  EXPECT_EQ(of_first_layer, 2);  // weights and bias
}

TEST(Schedule, PoolingOfTheImageKeepsNoWinners) {
  ModelBuilder b("pooled", 1);
  const int pooled = b.max_pool(b.input());
  const Schedule schedule = schedule_of(b.build(b.conv(pooled, {.k = 2})), {1, 8, 8, 1});
  EXPECT_EQ(schedule.forward[0].index_buffer, kNoBuffer);
  EXPECT_EQ(count(schedule.backward, StepKind::kMaxPoolBackward), 0);
}

TEST(Schedule, InferenceKeepsNothingForABackwardPass) {
  const Schedule schedule =
      schedule_of(zoo::make("unet", 3, 3), {1, 16, 16, 3}, PlanMode::kInference);
  EXPECT_TRUE(schedule.backward.empty());
  EXPECT_EQ(schedule.output_gradient.buffer, kNoBuffer);
  for (const Step& step : schedule.forward) EXPECT_EQ(step.index_buffer, kNoBuffer);
}

TEST(Schedule, SkipIsMaskedOnceByItsLastWriter) {
  // x = relu(conv); concat(x, up): the convolution after the concat writes both gradients, the
  // pooling adds to x's and masks it.
  const Model model = zoo::make("unet(width=4, depth=1)", 1, 2);
  const Schedule schedule = schedule_of(model, {1, 8, 8, 1});
  for (const Step& step : schedule.backward) {
    const Node& node = model.nodes()[static_cast<std::size_t>(step.node)];
    if (step.kind == StepKind::kConvDataGradient && node.name == "decoder1.conv1") {
      EXPECT_EQ(step.mask.buffer, kNoBuffer);
      EXPECT_FALSE(step.accumulate);
    }
    if (step.kind == StepKind::kMaxPoolBackward) {
      EXPECT_NE(step.mask.buffer, kNoBuffer);
      EXPECT_TRUE(step.accumulate);
    }
  }
}

TEST(Schedule, ConcatMasksItsFirstChannels) {
  ModelBuilder b("concat", 1);
  const int rectified = b.conv(b.input(), {.name = "a", .k = 5});
  const int linear = b.conv(b.input(), {.name = "b", .k = 3, .relu = false});
  const int joined = b.concat(rectified, linear);
  const Model model = b.build(b.conv(joined, {.name = "c", .k = 2, .relu = false}));
  const Schedule schedule = schedule_of(model, {1, 6, 6, 1});
  EXPECT_EQ(count(schedule.backward, StepKind::kReluBackward), 0);
  const auto step = std::find_if(schedule.backward.begin(), schedule.backward.end(),
                                 [](const Step& s) { return s.mask.buffer != kNoBuffer; });
  ASSERT_NE(step, schedule.backward.end());
  EXPECT_EQ(step->mask.view.shape.c, 5);
  EXPECT_EQ(step->out.view.shape.c, 8);
}

TEST(Schedule, RandomGraphsTakeEveryPath) {
  std::map<StepKind, int> kinds;
  int accumulating = 0, r_accumulating = 0, partly_masked = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    RandomGraph graph(seed, seed % 2 == 0);
    const Model model = graph.build(6 + static_cast<int>(seed % 15));
    const Schedule schedule =
        schedule_of(model, {2, RandomGraph::kHeight, RandomGraph::kWidth, 2}, PlanMode::kHessian);
    for (const auto* steps :
         {&schedule.forward, &schedule.backward, &schedule.r_forward, &schedule.r_backward})
      for (const Step& step : *steps) {
        ++kinds[step.kind];
        accumulating += step.accumulate && step.kind == StepKind::kConvForward;
        r_accumulating += step.accumulate && step.kind == StepKind::kConvRForward;
        partly_masked +=
            step.mask.buffer != kNoBuffer && step.mask.view.shape.c < step.out.view.shape.c;
      }
  }
  for (int kind = 0; kind <= static_cast<int>(StepKind::kUpsampleBackward); ++kind)
    EXPECT_GT(kinds[static_cast<StepKind>(kind)], 3) << "steps of kind " << kind;
  EXPECT_GT(accumulating, 1);
  EXPECT_GT(r_accumulating, 1);
  EXPECT_GT(partly_masked, 1);
}

}  // namespace
}  // namespace curvseg
