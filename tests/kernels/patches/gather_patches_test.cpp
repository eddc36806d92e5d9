// Patches as rows, at all positions and at random ones, on every target; and their second moment by
// a weight gradient.
#include <algorithm>
#include <limits>
#include <string>

#include "reference/patches.hpp"
#include "support/pixels.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

using reference::Conv2d;

TEST(StratifiedPosition, LiesInItsStratumAndAgreesWithWideIntegers) {
  const std::uint32_t words[] = {0, 1, 0x12345678u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu};
  const std::int64_t large = (std::int64_t{1} << 33) + 12345;
  for (const std::int64_t count :
       {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, std::int64_t{7}, std::int64_t{512},
        std::int64_t{1000003}, large})
    for (const std::int64_t strata : {1, 2, 3, 5, 7, 512, 65536}) {
      if (strata > count) continue;
      for (std::int64_t t = 0; t < strata; t += std::max<std::int64_t>(1, strata / 37))
        for (const std::uint32_t word : words) {
          const std::int64_t position = stratified_position(t, word, count, strata);
          ASSERT_EQ(position, reference::stratified_position(t, word, count, strata));
          ASSERT_GE(position, t * count / strata);
          ASSERT_LE(position, ((t + 1) * count - 1) / strata);
        }
    }
}

struct Call {
  int positions = 0;
  bool append_one = false;
  std::uint64_t seed = 7, step = 0;
  std::uint32_t stream = 0;
  float scale = 1.0f;
};

Conv2dProblem problem_of(const Conv2d& g) {
  Conv2dProblem p;
  p.n = g.n, p.h = g.h, p.w = g.w, p.c = g.c;
  p.p = g.p(), p.q = g.q(), p.k = g.k, p.r = g.r, p.s = g.s;
  p.stride_h = g.stride_h, p.stride_w = g.stride_w, p.pad_h = g.pad_h, p.pad_w = g.pad_w;
  p.dilation_h = g.dilation_h, p.dilation_w = g.dilation_w;
  return p;
}

std::vector<Conv2d> cases() {
  return {{1, 1, 1, 1, 1, 1, 1},
          {2, 5, 7, 3, 1, 3, 3, 1, 1, 1, 1},
          {1, 6, 5, 17, 1, 3, 3, 1, 1, 1, 1},
          {3, 4, 4, 32, 1, 1, 1},
          {2, 9, 10, 5, 1, 3, 3, 2, 2, 1, 1},
          {1, 13, 12, 3, 1, 3, 2, 2, 3, 3, 2, 3, 2},
          {1, 2, 2, 2, 1, 5, 5, 1, 1, 2, 2},
          {1, 12, 5, 2, 1, 7, 1, 1, 1, 3, 0}};
}

int all_positions(const Conv2d& g) { return g.n * g.p() * g.q(); }

class GatherPatchesKernel : public PixelTest {
 protected:
  static std::size_t width(const Conv2d& g, const Call& call) {
    return Conv2d::size(1, g.r, g.s, g.c) + (call.append_one ? 1 : 0);
  }

  std::vector<float> gather(const Conv2d& g, const std::vector<float>& x, const Call& call,
                            PixelLayout x_layout = {}, PixelLayout row_layout = {}) const {
    const auto columns = width(g, call);
    const auto x_there = upload_pixels(x, g.c, x_layout);
    const auto rows = output_pixels(columns * static_cast<std::size_t>(call.positions),
                                    static_cast<int>(columns), row_layout);
    const auto seed_and_step = upload<std::uint64_t>({call.seed, call.step});
    const auto scale = upload<float>({call.scale});
    GatherPatches p;
    p.problem = problem_of(g);
    p.x = x_there.get();
    p.ldx = x_there.ld();
    p.positions = call.positions;
    p.append_one = call.append_one;
    p.seed_and_step = seed_and_step.get();
    p.stream = call.stream;
    p.scale = call.scale == 1.0f ? nullptr : scale.get();
    p.rows = rows.get();
    p.ld = rows.ld();
    kernels().gather_patches(stream(), p);
    return download_pixels(rows);
  }

  /// The factor is a float that two roundings made, the product one more.
  void expect_rows(const Conv2d& g, const Call& call, PixelLayout x_layout = {},
                   PixelLayout row_layout = {}) const {
    const auto x = uniform_floats(g.x_size(), 3);
    const auto positions = reference::patch_positions(all_positions(g), call.positions, call.seed,
                                                      call.step, call.stream);
    const auto expected =
        reference::patch_rows(g, x, positions, call.positions, call.append_one, call.scale);
    std::vector<double> bound(expected.size());
    for (std::size_t i = 0; i < bound.size(); ++i)
      bound[i] = 2.0 * std::numeric_limits<float>::epsilon() * std::fabs(expected[i]);
    expect_within(gather(g, x, call, x_layout, row_layout), expected, bound);
  }
};

TEST_P(GatherPatchesKernel, AllPositionsInOrderThenZeros) {
  for (const Conv2d& g : cases())
    for (const bool append_one : {false, true})
      for (const int more : {0, 1, 19}) {
        SCOPED_TRACE(std::to_string(g.h) + "x" + std::to_string(g.w) + "x" + std::to_string(g.c));
        expect_rows(g, {.positions = all_positions(g) + more, .append_one = append_one});
      }
}

TEST_P(GatherPatchesKernel, RandomPositionsFollowSeedStepAndStream) {
  const std::uint64_t large = 0xFEDCBA9876543210ull;
  for (const Conv2d& g : cases())
    for (const int positions : {1, 3, 17}) {
      if (positions >= all_positions(g)) continue;
      expect_rows(g, {.positions = positions, .append_one = true, .step = 5});
      expect_rows(g, {.positions = positions, .seed = large, .step = large / 3, .stream = 9});
    }
}

TEST_P(GatherPatchesKernel, LayoutsAndScale) {
  const Conv2d g = cases()[2];
  for (const PixelLayout& x_layout : pixel_layouts())
    for (const PixelLayout& row_layout : pixel_layouts())
      expect_rows(g, {.positions = 21, .append_one = true, .scale = 0.3f}, x_layout, row_layout);
}

TEST_P(GatherPatchesKernel, WholeNumbersAreCopiedExactly) {
  const Conv2d g = cases()[1];  // 70 positions
  const auto x = small_integers(g.x_size(), 4);
  const Call call{.positions = 64, .append_one = true, .scale = 8.0f};  // 8 / √64 = 1
  const auto positions = reference::patch_positions(70, 64, call.seed, 0, 0);
  expect_equal(gather(g, x, call), reference::patch_rows(g, x, positions, 64, true, 8.0));
}

TEST_P(GatherPatchesKernel, EveryPositionIsAsLikelyAsAnyOther) {
  // x holds the number of its pixel; 7 of 20 positions a step, over many steps.
  const Conv2d g{1, 4, 5, 1, 1, 1, 1};
  std::vector<float> x(20);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const int steps = emulated() ? 300 : 3000;
  std::vector<int> hits(20);
  for (int step = 0; step < steps; ++step) {
    const Call call{
        .positions = 7, .step = static_cast<std::uint64_t>(step), .scale = std::sqrt(7.0f)};
    for (const float value : gather(g, x, call))
      ++hits[static_cast<std::size_t>(std::lround(value))];
  }
  // A position is drawn at most twice a step; four standard deviations of a binomial.
  const double expected = steps * 7.0 / 20.0, tolerance = 4.0 * std::sqrt(expected);
  for (const int count : hits) EXPECT_NEAR(count, expected, tolerance);
}

TEST_P(GatherPatchesKernel, TheSameBitsOnEverySchedule) {
  const Conv2d g = cases()[1];
  const auto x = uniform_floats(g.x_size(), 1);
  expect_same_on_every_schedule(
      GetParam(), [&] { return gather(g, x, {.positions = 40, .append_one = true}); });
}

TEST_P(GatherPatchesKernel, NothingToGather) {
  EXPECT_TRUE(gather(cases()[1], uniform_floats(cases()[1].x_size(), 1), {}).empty());
  const Conv2d no_images{0, 4, 4, 2, 1, 3, 3, 1, 1, 1, 1};
  EXPECT_EQ(gather(no_images, {}, {.positions = 3, .append_one = true}),
            std::vector<float>(3 * 19, 0.0f));
}

TEST_P(GatherPatchesKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  const Conv2d g = cases()[2];
  for (const int positions : {3, all_positions(g)})
    expect_rows(g, {.positions = positions, .append_one = true}, kFarPixels, kFarPixels);
}

/// rowsᵀ·rows as the weight gradient of a 1x1 convolution: the mean of the outer products.
TEST_P(GatherPatchesKernel, AWeightGradientMakesTheSecondMoment) {
  for (const Conv2d& g : {cases()[1], cases()[2]}) {
    const Call call{.positions = 50, .append_one = true};
    const auto x = uniform_floats(g.x_size(), 8);
    const auto n = width(g, call);
    const auto positions =
        reference::patch_positions(all_positions(g), call.positions, call.seed, 0, 0);
    const auto expected_rows = reference::patch_rows(g, x, positions, call.positions, true, 1.0);
    const auto rows = upload(gather(g, x, call));
    const auto moment = output<float>(n * n);
    const int columns = static_cast<int>(n);
    Conv2dWeightGradient p;
    p.problem.n = p.problem.h = p.problem.p = 1;
    p.problem.w = p.problem.q = call.positions;
    p.problem.c = p.problem.k = columns;
    p.term[0] = {rows.get(), columns, rows.get(), columns};
    p.dw = moment.get();
    const auto scratch = workspace(kernels().conv2d_weight_workspace(p));
    p.workspace = scratch.get();
    kernels().conv2d_weight_gradient(stream(), p);
    const auto values = download(moment);

    std::vector<double> expected(n * n), bound(n * n);
    const double eps = std::numeric_limits<float>::epsilon();
    for (std::size_t t = 0; t < expected_rows.size(); t += n)
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
          const double product = expected_rows[t + i] * expected_rows[t + j];
          expected[i * n + j] += product;
          bound[i * n + j] += 2.0 * std::sqrt(50.0) * eps * std::fabs(product);
        }
    expect_within(values, expected, bound);
    EXPECT_TRUE(std::fabs(values[n * n - 1] - 1.0f) <= 50 * eps) << "the mean of 1·1";
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j)
        ASSERT_TRUE(std::fabs(values[i * n + j] - values[j * n + i]) <= 2.0 * bound[i * n + j]);
  }
}

CURVSEG_INSTANTIATE_TARGETS(GatherPatchesKernel);

}  // namespace
}  // namespace curvseg::testing
