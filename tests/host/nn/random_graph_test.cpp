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
                          whole_data(model, input, GetParam(), 6), graph.unit());
}

TEST_P(RandomGraphs, AreWithinBoundsOfTheReference) {
  const Model model = RandomGraph(GetParam(), false).build(6 + static_cast<int>(GetParam() % 15));
  const Shape input{2, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels};
  expect_matches_reference(Device::open("host"), model, input, GetParam());
}

// Wirings in which one decision of the layout depends on another, too rare to wait for by chance.
class Wiring : public ::testing::Test {
 protected:
  static constexpr Shape kInput{2, 6, 5, 2};

  ModelBuilder b{"wiring", kInput.c, kInput.h, kInput.w};

  int conv(int from, int k, bool relu) {
    return b.conv(from, {.k = k, .r = 3, .s = 3, .relu = relu});
  }

  void check(int output) {
    const Model model = b.build(output);
    for (unsigned seed = 0; seed < 4; ++seed) {
      expect_equals_reference(Device::open("host"), model, kInput,
                              whole_data(model, kInput, seed, 6));
      expect_matches_reference(Device::open("host"), model, kInput, seed);
    }
  }
};

TEST_F(Wiring, SumOfAConcatenationWhoseSliceIsMasked) {
  // The slice's mask changes the concatenation's gradient, which is the sum's, and so must not be
  // the other summand's as well.
  const int other = conv(0, 5, false);
  const int slices = b.concat(conv(0, 2, true), conv(0, 3, false));
  const int sum = b.add(slices, other);
  check(conv(sum, 3, false));
}

TEST_F(Wiring, SumsOfSums) {
  const int x = conv(0, 4, true);
  const int y = conv(x, 4, false);
  const int inner = b.add(y, x);
  const int outer = b.add(inner, conv(inner, 4, false));
  check(conv(b.add(outer, outer), 2, false));
}

TEST_F(Wiring, SliceOfTwoConcatenations) {
  // The first concatenation's gradient is masked and copied, the second's is not masked: their sum
  // is not.
  const int shared = conv(0, 3, true);
  const int first = b.concat(shared, conv(0, 2, true));
  const int second = b.concat(conv(first, 2, false), shared);
  check(b.add(conv(first, 3, false), conv(second, 3, false)));
}

TEST_F(Wiring, SliceThatADenseLayerReads) {
  const int point = b.max_pool(conv(0, 3, true), {.r = 6, .s = 5});
  const int dense = b.dense(point, 4, true);
  const int joined = b.concat(b.concat(point, dense), point);
  check(b.dense(joined, 3, false));
}

TEST_F(Wiring, ConcatenationsWithinConcatenations) {
  const int a = conv(0, 2, true), c = conv(a, 3, true), d = conv(0, 2, false);
  const int inner = b.concat(a, c);
  const int outer = b.concat(inner, d);
  const int again = b.concat(outer, outer);
  check(b.concat(conv(again, 2, true), conv(b.relu(d), 2, false)));
}

TEST_F(Wiring, ImageInSumsAndConcatenations) {
  const int sum = b.add(0, conv(0, 2, true));
  check(conv(b.concat(0, b.concat(sum, 0)), 3, false));
}

TEST_F(Wiring, PoolingIsTheOnlyConsumerOfAConcatenation) {
  const int joined = b.concat(conv(0, 2, true), conv(0, 1, true));
  const int mixed = b.concat(conv(0, 2, true), conv(0, 1, false));
  check(conv(b.concat(b.max_pool(joined), b.max_pool(mixed)), 2, false));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range(0u, 40u));

}  // namespace
}  // namespace curvseg
