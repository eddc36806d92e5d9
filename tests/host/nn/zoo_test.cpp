// Every ready-made model: its output and its whole gradient against the reference.
#include <gtest/gtest.h>

#include "host/nn/network_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

struct ZooCase {
  const char* model;
  Shape input;
  int classes;
};

void PrintTo(const ZooCase& c, std::ostream* out) {
  *out << c.model << " on " << to_string(c.input) << ", " << c.classes << " classes";
}

class Zoo : public ::testing::TestWithParam<ZooCase> {
 protected:
  Model model() const {
    const ZooCase& c = GetParam();
    return zoo::make(c.model, c.input.c, c.classes, c.input.h, c.input.w);
  }
};

// The reference's bounds are those of direct sums; minimal filtering has others, which the tests of
// its kernels hold.
TEST_P(Zoo, IsWithinBoundsOfTheReference) {
  expect_matches_reference(Device::open("host"), model().with_convolutions(ConvAlgorithm::kDirect),
                           GetParam().input, 11);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Zoo,
    ::testing::Values(ZooCase{"unet(width=4, depth=2)", {2, 12, 10, 3}, 3},
                      ZooCase{"unet(width=8, depth=3)", {1, 45, 37, 1}, 2},
                      ZooCase{"unet(width=16, depth=1)", {1, 33, 20, 3}, 12},
                      ZooCase{"unet(width=5, depth=2, transpose=false)", {2, 19, 26, 3}, 4},
                      ZooCase{"unet(width=3, depth=4)", {1, 16, 16, 4}, 1},
                      ZooCase{"fcn(width=4)", {2, 24, 16, 3}, 3},
                      ZooCase{"fcn(width=6)", {1, 45, 37, 1}, 5},
                      ZooCase{"segnet(width=4, depth=2)", {2, 16, 12, 3}, 3},
                      ZooCase{"segnet(width=8)", {1, 45, 37, 3}, 2},
                      ZooCase{"classifier2", {3, 12, 12, 1}, 10},
                      ZooCase{"classifier2(width=2, hidden=5)", {3, 12, 12, 3}, 10},
                      ZooCase{"classifier3", {2, 13, 17, 3}, 10}));

class ExactZoo : public Zoo {};

TEST_P(ExactZoo, EqualsTheReferenceOnWholeNumbers) {
  const Shape& input = GetParam().input;
  expect_equals_reference(Device::open("host"), model(), input, whole_data(model(), input, 5));
}

INSTANTIATE_TEST_SUITE_P(Models, ExactZoo,
                         ::testing::Values(ZooCase{"unet(width=4, depth=2)", {2, 12, 10, 3}, 3},
                                           ZooCase{"unet(width=8, depth=3)", {2, 45, 37, 3}, 2},
                                           ZooCase{"unet(width=16, depth=2)", {1, 31, 18, 1}, 12},
                                           ZooCase{"classifier2", {3, 12, 12, 1}, 10},
                                           ZooCase{"classifier3", {2, 13, 17, 3}, 10}));

/// The GPU's block shapes, emulated and, where there is a GPU, on it.
class GpuBlockShapes : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!has_device(GetParam())) GTEST_SKIP() << "there is no device " << GetParam() << " here";
  }
};

TEST_P(GpuBlockShapes, TinyUnetIsCorrect) {
  const Device device = Device::open(GetParam());
  const Model model = zoo::make("unet(width=4, depth=2)", 3, 3);
  const Shape input{1, 12, 10, 3};
  expect_equals_reference(device, model, input, whole_data(model, input, 5));
  expect_matches_reference(device, model, input, 11);
}

TEST_P(GpuBlockShapes, RandomWiringIsCorrect) {
  const Device device = Device::open(GetParam());
  const Shape input{1, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels};
  for (unsigned seed = 200; seed < 204; ++seed) {
    SCOPED_TRACE(seed);
    RandomGraph graph(seed, true);
    const Model model = graph.build(10);
    expect_equals_reference(device, model, input, whole_data(model, input, seed, 6), graph.unit());
    const Model other = RandomGraph(seed, false).build(10);
    expect_matches_reference(device, other, input, seed);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, GpuBlockShapes, ::testing::Values("emulated", "cuda:0"),
                         [](const auto& parameter) {
                           return std::string(parameter.param).substr(0, 4);
                         });

}  // namespace
}  // namespace curvseg
