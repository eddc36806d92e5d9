// Products and normalisation element by element, on every target.
#include <cmath>
#include <string>

#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

constexpr std::size_t kSizes[] = {1, 3, 16, 31, 64, 1000, 5000, 20'011};

class ElementwiseKernel : public TargetTest {
 protected:
  enum class Place { kApart, kOnX, kOnY };

  std::vector<float> multiply(const std::vector<float>& x, const std::vector<float>& y, float scale,
                              const std::vector<float>& old, Place place = Place::kApart) const {
    const auto device_x = upload(x), device_y = upload(y);
    const auto apart = old.empty() ? output<float>(x.size()) : upload(old);
    const DeviceBuffer<float>& to = place == Place::kApart ? apart
                                    : place == Place::kOnX ? device_x
                                                           : device_y;
    kernels().multiply(stream(), {.n = static_cast<std::int64_t>(x.size()),
                                  .x = device_x.get(),
                                  .y = device_y.get(),
                                  .scale = scale,
                                  .accumulate = !old.empty(),
                                  .to = to.get()});
    return download(to);
  }

  struct Normalised {
    std::vector<float> to;
    float norm;
  };
  Normalised normalise(const std::vector<float>& x, float squared_norm, const float* reference,
                       float floor, bool in_place = false) const {
    const auto device_x = upload(x);
    const auto apart = output<float>(x.size()), norm = output<float>(1);
    const auto scalars =
        upload(std::vector<float>{squared_norm, reference ? *reference : std::nanf("")});
    const DeviceBuffer<float>& to = in_place ? device_x : apart;
    kernels().normalise(stream(), {.n = static_cast<std::int64_t>(x.size()),
                                   .x = device_x.get(),
                                   .squared_norm = scalars.get(),
                                   .reference = reference ? scalars.get() + 1 : nullptr,
                                   .floor = floor,
                                   .to = to.get(),
                                   .norm = norm.get()});
    return {download(to), download(norm)[0]};
  }
};

TEST_P(ElementwiseKernel, ProductsOfWholeNumbers) {
  for (const std::size_t n : kSizes) {
    SCOPED_TRACE(n);
    const auto x = small_integers(n, 1), y = small_integers(n, 2), old = small_integers(n, 3);
    std::vector<float> plain(n), added(n);
    for (std::size_t i = 0; i < n; ++i) {
      plain[i] = -2.0f * x[i] * y[i];
      added[i] = old[i] + plain[i];
    }
    EXPECT_EQ(multiply(x, y, -2.0f, {}), plain);
    EXPECT_EQ(multiply(x, y, -2.0f, {}, Place::kOnX), plain);
    EXPECT_EQ(multiply(x, y, -2.0f, {}, Place::kOnY), plain);
    EXPECT_EQ(multiply(x, y, -2.0f, old), added);
  }
  EXPECT_EQ(multiply({}, {}, 1.0f, {}), std::vector<float>{});
}

TEST_P(ElementwiseKernel, ProductsOfRandomDataWithinRounding) {
  for (const std::size_t n : kSizes) {
    const auto x = uniform_floats(n, 5), y = uniform_floats(n, 6), old = uniform_floats(n, 7);
    std::vector<double> value, bound;
    for (std::size_t i = 0; i < n; ++i) {
      const double product = double(0.37f) * x[i] * y[i];
      value.push_back(old[i] + product);
      // Two products and a sum of half an epsilon each.
      bound.push_back(kEpsilon * (2.0 * std::fabs(product) + 0.5 * std::fabs(old[i])));
    }
    expect_within(multiply(x, y, 0.37f, old), value, bound);
  }
}

TEST_P(ElementwiseKernel, NormalisesWholeNumbersByAPowerOfTwo) {
  for (const std::size_t n : kSizes)
    for (const bool in_place : {false, true}) {
      const auto x = small_integers(n, 8);
      std::vector<double> quarters;
      for (const float element : x) quarters.push_back(element / 4.0);
      expect_equal(normalise(x, 16.0f, nullptr, 0.0f, in_place).to, quarters);
    }
}

TEST_P(ElementwiseKernel, NormalisesToUnitLength) {
  for (const std::size_t n : kSizes)
    for (const bool in_place : {false, true}) {
      const auto x = uniform_floats(n, 4);
      const Normalised actual = normalise(x, 6.25f, nullptr, 0.0f, in_place);
      EXPECT_EQ(actual.norm, 2.5f);
      std::vector<double> value, bound;
      for (const float element : x) {
        value.push_back(element / 2.5);
        bound.push_back(1.5 * kEpsilon * std::fabs(value.back()));
      }
      expect_within(actual.to, value, bound);
    }
}

TEST_P(ElementwiseKernel, WhatIsRoundingOnlyBecomesZero) {
  const std::vector<float> x = {1.0f, -2.0f, 2.0f}, zero(3, 0.0f);
  const float reference = 900.0f;
  EXPECT_EQ(normalise(x, 9.0f, &reference, 0.01f).to, zero);
  EXPECT_EQ(normalise(x, 9.0f, &reference, 0.01f).norm, 0.0f);
  EXPECT_EQ(normalise(x, 9.0f, &reference, 0.00999f).norm, 3.0f);
  EXPECT_EQ(normalise(zero, 0.0f, nullptr, 0.0f).to, zero);
  EXPECT_EQ(normalise(zero, 0.0f, nullptr, 0.0f).norm, 0.0f);
  // But a NaN is no rounding.
  EXPECT_TRUE(std::isnan(normalise(x, NAN, &reference, 0.01f).to[0]));
  EXPECT_TRUE(std::isnan(normalise(x, NAN, &reference, 0.01f).norm));
}

TEST_P(ElementwiseKernel, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 20'003 : 100'003;  // several blocks
  const auto x = uniform_floats(n, 9), y = uniform_floats(n, 10);
  expect_same_on_every_schedule(GetParam(), [&] {
    std::vector<float> result = multiply(x, y, 0.3f, x);
    for (const bool in_place : {false, true}) {
      const Normalised unit = normalise(y, 7.0f, nullptr, 0.0f, in_place);
      result.insert(result.end(), unit.to.begin(), unit.to.end());
      result.push_back(unit.norm);
    }
    return result;
  });
}

TEST_P(ElementwiseKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory x(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory to(n);
  if (!x.get() || !to.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  for (const std::int64_t i : {n - 6, n - 1}) x.get()[i] = 4.0f;
  const auto expect_near_the_end = [&](float value) {
    for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(to.get()[i], value) << i;
    for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(to.get()[i], 0.0f) << i;
  };
  kernels().multiply(stream(), {.n = n, .x = x.get(), .y = x.get(), .scale = 0.5f, .to = to.get()});
  expect_near_the_end(8.0f);
  const auto squared_norm = upload(std::vector<float>{16.0f});
  kernels().normalise(stream(),
                      {.n = n, .x = x.get(), .squared_norm = squared_norm.get(), .to = to.get()});
  expect_near_the_end(1.0f);
}

CURVSEG_INSTANTIATE_TARGETS(ElementwiseKernel);

}  // namespace
}  // namespace curvseg::testing
