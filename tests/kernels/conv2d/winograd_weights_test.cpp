// Weight gradients by minimal filtering, against the double reference and their own error bound, on
// every target.
#include <cmath>

#include "kernels/conv2d/winograd_cases.hpp"

namespace curvseg::testing {
namespace {

class WinogradWeights : public WinogradTest {
 protected:
  std::vector<float> run(const Conv2d& g, const std::vector<std::vector<float>>& x,
                         const std::vector<std::vector<float>>& dy, PixelLayout layout = {},
                         const std::vector<float>* initial = nullptr) const {
    return run_weights(g, x, dy, layout, initial, kWinograd);
  }
};

reference::Sums expected_weights(const Conv2d& g, const std::vector<float>& x,
                                 const std::vector<float>& dy) {
  reference::Sums dw(g.w_size());
  reference::backward_weights(g, x, dy, dw);
  return dw;
}

TEST_P(WinogradWeights, AreExactOnIntegers) {
  for (const Conv2dCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 1), dy = integers(c.g.y_size(), 2);
    const auto expected = expected_weights(c.g, x, dy).value;
    EXPECT_EQ(as_double(run(c.g, {x}, {dy})), expected);
    EXPECT_EQ(as_double(run(c.g, {x}, {dy}, {5, 2})), expected);
  }
}

TEST_P(WinogradWeights, TwoTermsAndOldValuesAreOneSum) {
  for (const Conv2dCase& c : winograd_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = integers(c.g.x_size(), 3), dy = integers(c.g.y_size(), 4);
    const auto rx = integers(c.g.x_size(), 5), rdy = integers(c.g.y_size(), 6);
    const auto old = integers(c.g.w_size(), 7);
    auto expected = expected_weights(c.g, x, rdy).value;
    const auto second = expected_weights(c.g, rx, dy).value;
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += second[i];
    EXPECT_EQ(as_double(run(c.g, {x, rx}, {rdy, dy})), expected);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += old[i];
    EXPECT_EQ(as_double(run(c.g, {x, rx}, {rdy, dy}, {}, &old)), expected);
  }
}

TEST_P(WinogradWeights, RoundingStaysWithinItsElementwiseBound) {
  for (const Conv2dCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    const auto x = uniform_floats(c.g.x_size(), 8), dy = uniform_floats(c.g.y_size(), 9);
    expect_within(run(c.g, {x}, {dy}), expected_weights(c.g, x, dy).value,
                  reference::winograd_bound(reference::winograd_weight_magnitudes(c.g, x, dy),
                                            reference::winograd_tiles(c.g)));
  }
}

TEST_P(WinogradWeights, WorstCaseBoundHoldsForLargeAndConstantData) {
  const Conv2d g{2, 15, 17, 5, 6, 3, 3, 1, 1, 1, 1};
  const int tiles = reference::winograd_tiles(g);
  using Numbers = float (*)(std::size_t);
  const Numbers kinds[] = {
      [](std::size_t) { return 0.1f; },                          // rounds the same way every time
      [](std::size_t i) { return i % 2 ? 1e15f : -1e15f; },      // sums that cancel
      [](std::size_t i) { return i % 7 == 3 ? 3e12f : 1e-3f; },  // one swamps the others
  };
  for (const Numbers of_x : kinds)
    for (const Numbers of_dy : kinds) {
      std::vector<float> x(g.x_size()), dy(g.y_size());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = of_x(i);
      for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = of_dy(i);
      // Two roundings of x, two of dy, one a tile, four of the filter, and those of partial sums,
      // at most one a tile again.
      auto bound = reference::winograd_weight_magnitudes(g, x, dy);
      for (double& m : bound) m *= 1.01 * ((roundings() + 1) * tiles + 8) * 0x1p-24;
      expect_within(run(g, {x}, {dy}), expected_weights(g, x, dy).value, bound);
    }
}

TEST_P(WinogradWeights, SquaresAreDirect) {
  const Conv2d g{2, 6, 7, 33, 34, 3, 3, 1, 1, 1, 1};
  const auto squares = [&](ConvAlgorithm algorithm) {
    const auto x = upload_pixels(uniform_floats(g.x_size(), 10), g.c);
    const auto dy = upload_pixels(uniform_floats(g.y_size(), 11), g.k);
    const auto dw = output<float>(g.w_size());
    Conv2dWeightGradient p;
    p.problem = problem_of(g);
    p.problem.algorithm = algorithm;
    p.term[0] = {x.get(), x.ld(), dy.get(), dy.ld()};
    p.dw = dw.get();
    // As the host's query asks, which does not know of squares.
    const auto scratch = workspace(kernels().conv2d_weight_workspace(p));
    p.squares = true;
    p.workspace = scratch.get();
    kernels().conv2d_weight_gradient(stream(), p);
    return download(dw);
  };
  EXPECT_EQ(squares(kWinograd), squares(ConvAlgorithm::kDirect));
}

TEST_P(WinogradWeights, EveryScheduleGivesTheSameBits) {
  const Conv2d g = emulated() ? Conv2d{1, 7, 8, 10, 33, 3, 3, 1, 1, 1, 1}
                              : Conv2d{2, 21, 37, 70, 37, 3, 3, 1, 1, 1, 1};
  const auto x = uniform_floats(g.x_size(), 12), dy = uniform_floats(g.y_size(), 13);
  expect_same_on_every_schedule(GetParam(), [&] { return run(g, {x}, {dy}); });
}

TEST_P(WinogradWeights, NoPixelsAreAGradientOfZero) {
  for (const Conv2d& g : {Conv2d{0, 4, 4, 3, 5, 3, 3, 1, 1, 1, 1}, Conv2d{1, 2, 4, 3, 5, 3, 3}})
    EXPECT_EQ(run(g, {std::vector<float>(g.x_size(), 1.0f)}, {{}}),
              std::vector<float>(g.w_size(), 0.0f));
}

TEST_P(WinogradWeights, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Conv2d g{1, 3, 5, 8, 9, 3, 3, 1, 1, 1, 1};
  const auto x = integers(g.x_size(), 14), dy = integers(g.y_size(), 15);
  expect_equal(run(g, {x}, {dy}, kFarPixels), expected_weights(g, x, dy).value);
}

CURVSEG_INSTANTIATE_TARGETS(WinogradWeights);

}  // namespace
}  // namespace curvseg::testing
