// Every ready-made model: its output and its whole gradient against the reference.
#include <gtest/gtest.h>

#include "host/nn/network_case.hpp"

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

TEST_P(Zoo, IsWithinBoundsOfTheReference) {
  expect_matches_reference(Device::open("host"), model(), GetParam().input, 11);
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

TEST(ZooOnGpuBlockShapes, TinyUnetIsCorrect) {
  if (!has_device("emulated")) GTEST_SKIP() << "this build has no emulated target";
  const Model model = zoo::make("unet(width=4, depth=2)", 3, 3);
  const Shape input{1, 12, 10, 3};
  expect_equals_reference(Device::open("emulated"), model, input, whole_data(model, input, 5));
  expect_matches_reference(Device::open("emulated"), model, input, 11);
}

}  // namespace
}  // namespace curvseg
