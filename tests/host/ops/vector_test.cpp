// Public vector algebra: a use of it, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "curvseg/tensor.hpp"
#include "support/devices.hpp"

namespace curvseg {
namespace {

class VectorOps : public ::testing::TestWithParam<std::string> {
 protected:
  DeviceArray<float> upload(const std::vector<float>& values) {
    DeviceArray<float> result(device_, static_cast<std::int64_t>(values.size()));
    result.upload(stream_, values.data(), result.size());
    stream_.synchronise();
    return result;
  }
  static VectorView view(const DeviceArray<float>& a) { return {a.data(), a.size()}; }

  template <class Call>
  void expect_refused(Call call, const std::string& part) {
    try {
      call();
      ADD_FAILURE() << "accepted; expected a refusal with \"" << part << "\"";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  }

  Device device_ = Device::open(GetParam());
  Stream stream_{device_};
};

TEST_P(VectorOps, ChainWithoutTheHost) {
  // x ← x + ⟨x,y⟩·y − 2·x
  DeviceArray<float> x = upload({1.0f, 2.0f, 3.0f}), y = upload({1.0f, 0.0f, -1.0f});
  const DeviceArray<float> dots = upload({0.0f, 0.0f});
  DeviceArray<float> scratch(device_,
                             std::int64_t(dot_products_workspace(device_, 3, 2) / sizeof(float)));
  dot_products(stream_, {{view(x), view(y)}, {view(y), view(y)}}, {scratch.data(), scratch.bytes()},
               dots.data());
  linear_combination(stream_, {{view(x)}, {view(y), 1.0f, dots.data()}, {view(x), -2.0f}}, view(x));
  EXPECT_EQ(dots.to_host(stream_), (std::vector<float>{-2.0f, 2.0f}));
  EXPECT_EQ(x.to_host(stream_), (std::vector<float>{-3.0f, -2.0f, -1.0f}));
}

TEST_P(VectorOps, ElementwiseProducts) {
  const DeviceArray<float> x = upload({1.0f, 2.0f, 3.0f}), y = upload({2.0f, 0.0f, -1.0f}),
                           to = upload({10.0f, 10.0f, 10.0f});
  multiply(stream_, view(x), view(y), 2.0f, /*accumulate=*/true, view(to));
  EXPECT_EQ(to.to_host(stream_), (std::vector<float>{14.0f, 10.0f, 4.0f}));
  multiply(stream_, view(x), view(x), 1.0f, /*accumulate=*/false, view(x));
  EXPECT_EQ(x.to_host(stream_), (std::vector<float>{1.0f, 4.0f, 9.0f}));
  expect_refused(
      [&] {
        multiply(stream_, view(x), {y.data(), 2}, 1.0f, false, view(to));
      },
      "multiply: y has 2 elements, to has 3");
}

TEST_P(VectorOps, Refusals) {
  const DeviceArray<float> a = upload({1.0f, 2.0f}), b = upload({1.0f, 2.0f, 3.0f});
  DeviceArray<float> scratch(device_, 64);
  const Workspace workspace{scratch.data(), scratch.bytes()};
  const VectorPair pair{view(a), view(a)};
  const std::vector<VectorPair> seven(7, pair);
  expect_refused([&] { dot_products(stream_, seven, workspace, b.data()); },
                 "dot_products: there are 7 pairs, there may be 0 to 6");
  expect_refused(
      [&] {
        dot_products(stream_, {{view(a), view(b)}}, workspace, b.data());
      },
      "y has 3 elements, x has 2");
  expect_refused(
      [&] {
        dot_products(stream_, {pair, {view(b), view(b)}}, workspace, b.data());
      },
      "x has 3 elements, the first x has 2");
  expect_refused([&] { dot_products(stream_, {pair}, workspace, nullptr); }, "result");
  expect_refused(
      [&] {
        dot_products(stream_, {pair, pair}, {scratch.data(), 4}, b.data());
      },
      "the workspace has 4 bytes, 8 are needed");
  expect_refused([&] { dot_products_workspace(device_, -1, 1); }, "a vector has -1 elements");
  const std::vector<VectorTerm> five(5, VectorTerm{view(a)});
  expect_refused([&] { linear_combination(stream_, five, view(a)); },
                 "linear_combination: there are 5 terms, there may be 1 to 4");
  expect_refused([&] { linear_combination(stream_, {}, view(a)); }, "there are 0 terms");
  expect_refused([&] { linear_combination(stream_, {{view(b)}}, view(a)); },
                 "x has 3 elements, to has 2");
  expect_refused(
      [&] {
        linear_combination(stream_, {{{nullptr, 2}}}, view(a));
      },
      "x of 2 elements has no memory");
  expect_refused(
      [&] {
        linear_combination(stream_, {{{a.data(), -1}}}, {a.data(), -1});
      },
      "-1 elements");
}

INSTANTIATE_TEST_SUITE_P(Devices, VectorOps, ::testing::ValuesIn(testing::cheap_devices()),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace curvseg
