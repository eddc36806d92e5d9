// Random wiring against the reference: shared memory, accumulation and masks in every combination.
#include "host/nn/random_graph.hpp"

#include <gtest/gtest.h>

#include "host/nn/network_case.hpp"

namespace curvseg {
namespace {

using namespace testing;

class RandomGraphs : public ::testing::TestWithParam<unsigned> {};

TEST_P(RandomGraphs, EqualTheReferenceOnWholeNumbers) {
  RandomGraph graph(GetParam(), true);
  const Model model = graph.build(6 + static_cast<int>(GetParam() % 15));
  const Shape input{2, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels};
  expect_equals_reference(Device::open("host"), model, input,
                          whole_data(model, input, GetParam(), 3), graph.unit());
}

TEST_P(RandomGraphs, AreWithinBoundsOfTheReference) {
  const Model model = RandomGraph(GetParam(), false).build(6 + static_cast<int>(GetParam() % 15));
  const Shape input{2, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels};
  expect_matches_reference(Device::open("host"), model, input, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range(0u, 60u));

}  // namespace
}  // namespace curvseg
