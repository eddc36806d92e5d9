// Random numbers: known answers, the double reference, the same bits on every target, statistics.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "reference/philox.hpp"
#include "support/checksum.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

using reference::Words;

// From the authors' own file of answers (Random123, kat_vectors), philox4x32, 10 rounds.
TEST(PhiloxReference, GivesTheKnownAnswers) {
  constexpr std::uint32_t kOnes = 0xFFFFFFFFu;
  EXPECT_EQ(reference::philox({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u}));
  EXPECT_EQ(reference::philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu}));
  EXPECT_EQ(reference::philox({0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u},
                              {0xA4093822u, 0x299F31D0u}),
            (Words{0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u}));
}

TEST(NormalQuantileReference, AgreesWithTables) {
  EXPECT_NEAR(reference::normal_quantile(0.5), 0.0, 1e-12);
  EXPECT_NEAR(reference::normal_quantile(0.025), 1.959963984540054, 1e-12);
  EXPECT_NEAR(reference::normal_quantile(1e-9), 5.997807015, 1e-8);
}

/// The value that a word stands for, in double.
double uniform_of(std::uint32_t word) {
  return std::floor(static_cast<std::int32_t>(word) / 256.0) / 8388608.0;
}
double normal_of(std::uint32_t word) {
  const double tail = ((word & 0x7FFFFFFFu) + 0.5) / 4294967296.0;
  const double value = reference::normal_quantile(tail);
  return word >> 31 ? -value : value;
}

class RandomKernel : public TargetTest {
 protected:
  std::vector<float> fill(RandomFill p) const {
    auto to = output<float>(static_cast<std::size_t>(p.n));
    p.to = to.get();
    kernels().random_fill(stream(), p);
    return download(to);
  }
  std::int64_t many() const { return emulated() ? 8192 : 1 << 20; }
};

TEST_P(RandomKernel, KnownAnswersComeOutAsUniforms) {
  const auto u = fill({.n = 4, .seed = 0, .stream = 0});
  // Words 6627e8d5, e169c58d, bc57ac4c, 9b00dbd8: their upper 24 bits, signed, over 2^23.
  EXPECT_EQ(u, (std::vector<float>{0x6627E8p-23f, -0x1E963Bp-23f, -0x43A854p-23f, -0x64FF25p-23f}));
}

TEST_P(RandomKernel, ElementsDependOnSeedStreamAndPositionAlone) {
  const std::uint64_t large = 0xFEDCBA9876543210ull;
  for (const auto& [seed, random_stream] :
       {std::pair<std::uint64_t, std::uint64_t>{0, 0}, {1, 2}, {large, 7}, {3, large}})
    for (const std::int64_t n : {1, 2, 3, 4, 5, 1027}) {
      const auto u = fill({.n = n, .seed = seed, .stream = random_stream});
      for (std::int64_t i = 0; i < n; ++i)
        ASSERT_EQ(
            u[static_cast<std::size_t>(i)],
            uniform_of(reference::random_word(seed, random_stream, static_cast<std::uint64_t>(i))));
    }
}

TEST_P(RandomKernel, NormalsAreTheQuantilesOfTheirWords) {
  const std::int64_t n = emulated() ? 1024 : 16384;
  const auto z = fill({.n = n, .distribution = Distribution::kNormal, .seed = 11, .stream = 5});
  for (std::int64_t i = 0; i < n; ++i) {
    const double expected = normal_of(reference::random_word(11, 5, static_cast<std::uint64_t>(i)));
    ASSERT_TRUE(std::fabs(z[static_cast<std::size_t>(i)] - expected) <=
                1e-6 * std::fabs(expected) + 1e-12)
        << i << ": " << z[static_cast<std::size_t>(i)] << ", expected " << expected;
  }
}

TEST_P(RandomKernel, MeanAndScale) {
  const auto plain = fill({.n = 100, .distribution = Distribution::kNormal, .seed = 4});
  const auto scaled = fill(
      {.n = 100, .distribution = Distribution::kNormal, .seed = 4, .mean = 3.0f, .scale = 0.25f});
  for (std::size_t i = 0; i < plain.size(); ++i)
    EXPECT_EQ(scaled[i], 3.0f + 0.25f * plain[i]);  // a product with 2^-2 is exact
}

TEST_P(RandomKernel, BitsAreTheSameOnEveryTarget) {
  const auto u = fill({.n = 5003, .seed = 42, .stream = 3, .mean = 0.1f, .scale = 0.7f});
  EXPECT_EQ(checksum(u), 15175852327095377703ull);
  const auto z = fill({.n = 5003,
                       .distribution = Distribution::kNormal,
                       .seed = 42,
                       .stream = 3,
                       .mean = 0.1f,
                       .scale = 0.7f});
  EXPECT_EQ(checksum(z), 954045807069848199ull);
}

/// The largest distance of the sample's distribution from `cumulative`, times √n: above 1.95 with
/// probability 0.001. Seeds are fixed, so a pass stays a pass.
template <class Cumulative>
double kolmogorov_smirnov(std::vector<float> sample, Cumulative cumulative) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  double distance = 0.0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double f = cumulative(sample[i]);
    distance =
        std::max({distance, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return distance * std::sqrt(n);
}

/// Raw moments 1 to 4.
std::array<double, 4> moments(const std::vector<float>& sample) {
  std::array<double, 4> sum{};
  for (const double x : sample) {
    double power = 1.0;
    for (double& s : sum) s += power *= x;
  }
  for (double& s : sum) s /= static_cast<double>(sample.size());
  return sum;
}

TEST_P(RandomKernel, UniformsAreUniform) {
  const auto u = fill({.n = many(), .seed = 1});
  for (const float value : u) ASSERT_TRUE(value >= -1.0f && value < 1.0f);
  EXPECT_LT(kolmogorov_smirnov(u, [](double x) { return 0.5 * (x + 1.0); }), 1.95);
  const double tolerance = 4.0 / std::sqrt(static_cast<double>(many()));
  const auto m = moments(u);
  EXPECT_NEAR(m[0], 0.0, tolerance);
  EXPECT_NEAR(m[1], 1.0 / 3.0, tolerance);
  EXPECT_NEAR(m[2], 0.0, tolerance);
  EXPECT_NEAR(m[3], 1.0 / 5.0, tolerance);
}

TEST_P(RandomKernel, NormalsAreNormal) {
  const auto z = fill({.n = many(), .distribution = Distribution::kNormal, .seed = 1});
  EXPECT_LT(kolmogorov_smirnov(z, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }),
            1.95);
  // Four standard deviations of the k-th moment: its variance is that of x^k.
  const double unit = 4.0 / std::sqrt(static_cast<double>(many()));
  const auto m = moments(z);
  EXPECT_NEAR(m[0], 0.0, unit);
  EXPECT_NEAR(m[1], 1.0, unit * std::sqrt(2.0));
  EXPECT_NEAR(m[2], 0.0, unit * std::sqrt(15.0));
  EXPECT_NEAR(m[3], 3.0, unit * std::sqrt(96.0));
}

TEST_P(RandomKernel, RademacherValuesAreTheSignsOfTheirWords) {
  for (const std::int64_t n : {1, 5, 1027}) {
    const auto z =
        fill({.n = n, .distribution = Distribution::kRademacher, .seed = 8, .stream = 3});
    for (std::int64_t i = 0; i < n; ++i)
      ASSERT_EQ(z[static_cast<std::size_t>(i)],
                reference::random_word(8, 3, static_cast<std::uint64_t>(i)) >> 31 ? -1.0f : 1.0f);
  }
  const auto z = fill({.n = many(), .distribution = Distribution::kRademacher, .seed = 1});
  EXPECT_NEAR(moments(z)[0], 0.0, 4.0 / std::sqrt(static_cast<double>(many())));
}

TEST_P(RandomKernel, MaskedElementsAreZeroAndLeaveTheOthersAsTheyAre) {
  for (const auto kind :
       {Distribution::kUniform, Distribution::kNormal, Distribution::kRademacher}) {
    const std::int64_t n = 1027;
    RandomFill p{.n = n, .distribution = kind, .seed = 6, .mean = 0.5f};
    const auto all = fill(p);
    std::vector<float> mask(static_cast<std::size_t>(n), 1.0f);
    for (std::size_t i = 0; i < mask.size(); i += 3) mask[i] = 0.0f;
    const auto device_mask = upload(mask);
    p.mask = device_mask.get();
    const auto some = fill(p);
    for (std::size_t i = 0; i < mask.size(); ++i)
      ASSERT_EQ(some[i], mask[i] == 0.0f ? 0.0f : all[i]);
  }
}

TEST_P(RandomKernel, StreamsAndSeedsDoNotOverlap) {
  // Blocks of four uniforms: 96 random bits each, so two equal ones would be an overlap.
  std::set<std::tuple<float, float, float, float>> seen;
  constexpr std::int64_t kElements = 2048;
  std::size_t blocks = 0;
  for (const auto& [seed, random_stream] : {std::pair<std::uint64_t, std::uint64_t>{0, 0},
                                            {0, 1},
                                            {1, 0},
                                            {1, 1},
                                            {0, 1ull << 32},
                                            {1ull << 32, 0}}) {
    const auto u = fill({.n = kElements, .seed = seed, .stream = random_stream});
    for (std::size_t i = 0; i < u.size(); i += 4) {
      seen.emplace(u[i], u[i + 1], u[i + 2], u[i + 3]);
      ++blocks;
    }
  }
  EXPECT_EQ(seen.size(), blocks);
}

TEST_P(RandomKernel, EveryScheduleGivesTheSameBits) {
  for (const Distribution distribution :
       {Distribution::kUniform, Distribution::kNormal, Distribution::kRademacher})
    expect_same_on_every_schedule(GetParam(), [&] {
      // Several blocks: one of the host fills 2^20 elements.
      return fill({.n = emulated() ? 5'003 : 3'000'003, .distribution = distribution, .seed = 4});
    });
}

TEST_P(RandomKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const RepeatingMemory to(n);
  if (!to.get()) GTEST_SKIP() << "8 GiB of address space are not to be had here";
  kernels().random_fill(stream(), {.to = to.get(), .n = n, .seed = 3, .stream = 2});
  for (std::int64_t i = n - 3000; i < n; ++i)
    ASSERT_EQ(to.get()[i], uniform_of(reference::random_word(3, 2, static_cast<std::uint64_t>(i))))
        << i;
}

TEST_P(RandomKernel, NothingToFill) { EXPECT_TRUE(fill({.n = 0}).empty()); }

CURVSEG_INSTANTIATE_TARGETS(RandomKernel);

}  // namespace
}  // namespace curvseg::testing
