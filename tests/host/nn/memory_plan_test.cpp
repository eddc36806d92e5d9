#include "host/nn/memory_plan.hpp"

#include <gtest/gtest.h>

#include <random>

#include "curvseg/device.hpp"
#include "host/nn/random_graph.hpp"
#include "host/nn/schedule.hpp"

namespace curvseg {
namespace {

using testing::RandomGraph;

/// By brute force: no two buffers that live at one time have a byte in common.
void expect_disjoint(const std::vector<BufferLifetime>& buffers, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), buffers.size());
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kBufferAlignment, 0);
    EXPECT_GE(plan.offsets[i], 0);
    EXPECT_LE(plan.offsets[i] + buffers[i].bytes, plan.bytes);
    for (std::size_t j = 0; j < i; ++j) {
      bool together = false;
      for (int t = buffers[i].first; t <= buffers[i].last; ++t)
        together = together || (buffers[j].first <= t && t <= buffers[j].last);
      const bool apart = plan.offsets[i] + buffers[i].bytes <= plan.offsets[j] ||
                         plan.offsets[j] + buffers[j].bytes <= plan.offsets[i];
      EXPECT_TRUE(!together || apart || buffers[i].bytes == 0 || buffers[j].bytes == 0)
          << "buffers " << j << " and " << i << " overlap";
    }
  }
}

TEST(MemoryPlan, ChainNeedsTwoNeighbours) {
  // Each step reads the one before: two live at a time, the third goes where the first was.
  const std::vector<BufferLifetime> buffers{{1024, 0, 1}, {512, 1, 2}, {1024, 2, 3}, {512, 3, 4}};
  const MemoryPlan plan = plan_memory(buffers);
  expect_disjoint(buffers, plan);
  EXPECT_EQ(plan.bytes, 1536);
}

TEST(MemoryPlan, NothingNeedsNothing) {
  EXPECT_EQ(plan_memory({}).bytes, 0);
  const std::vector<BufferLifetime> empty{{0, 0, 5}};
  EXPECT_EQ(plan_memory(empty).bytes, 0);
}

TEST(MemoryPlan, RandomLifetimesAreDisjointAndSmall) {
  std::mt19937 engine(3);
  const auto below = [&](int n) { return static_cast<int>(engine() % static_cast<unsigned>(n)); };
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<BufferLifetime> buffers(static_cast<std::size_t>(1 + below(40)));
    std::int64_t sum = 0;
    for (BufferLifetime& b : buffers) {
      b.bytes = below(10) == 0 ? 0 : 1 + below(1 << (4 + below(16)));
      b.first = below(30);
      b.last = b.first + below(12);
      sum += (b.bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
    }
    const MemoryPlan plan = plan_memory(buffers);
    expect_disjoint(buffers, plan);
    EXPECT_LE(plan.bytes, sum);
    EXPECT_GE(plan.bytes, peak_bytes(buffers));
  }
}

TEST(MemoryPlan, OfModelsIsDisjoint) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const Model model = RandomGraph(seed, seed % 2 == 0).build(12);
    for (const PlanMode mode : {PlanMode::kInference, PlanMode::kTraining}) {
      const Schedule schedule =
          plan_schedule(model, device, {2, RandomGraph::kHeight, RandomGraph::kWidth, 2}, mode);
      for (const BufferLifetime& buffer : schedule.buffers) EXPECT_LE(buffer.first, buffer.last);
      expect_disjoint(schedule.buffers, plan_memory(schedule.buffers));
    }
  }
}

TEST(MemoryPlan, OfAUnetIsCloseToItsPeak) {
  const Device device = Device::open("host");
  const Model model = zoo::make("unet", 3, 3);
  for (const PlanMode mode : {PlanMode::kInference, PlanMode::kTraining}) {
    const Schedule schedule = plan_schedule(model, device, {8, 96, 96, 3}, mode);
    const MemoryPlan plan = plan_memory(schedule.buffers);
    expect_disjoint(schedule.buffers, plan);
    EXPECT_LT(static_cast<double>(plan.bytes),
              1.01 * static_cast<double>(peak_bytes(schedule.buffers)));
  }
}

}  // namespace
}  // namespace curvseg
