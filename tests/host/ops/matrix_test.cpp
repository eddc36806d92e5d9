// Products of matrices through 1x1 convolutions against the double reference, on every target.
#include "host/ops/matrix.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <optional>

#include "reference/dense.hpp"
#include "support/random_data.hpp"
#include "support/targets.hpp"

namespace curvseg {
namespace {

using reference::DenseMatrix;
using testing::small_integers;
using testing::uniform_floats;

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const std::string& name : testing::target_names())
    if (name != "host_baseline") names.push_back(name);
  return names;
}

enum class Product { kAB, kAtB, kABt };

struct Sizes {
  int m, k, n;
};

class MatrixProducts : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (testing::target(GetParam()).runtime->device_count() == 0)
      GTEST_SKIP() << "there is no " << GetParam() << " device here";
    device_.emplace(Device::open(GetParam()));
    stream_.emplace(*device_);
  }

  static std::size_t count(int a, int b) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
  }

  /// The rows of a dense matrix `gap` elements apart, NaN between them.
  DeviceArray<float> upload(const std::vector<float>& dense, int columns, int gap) const {
    std::vector<float> all(
        columns == 0 ? 0 : dense.size() / count(1, columns) * count(1, columns + gap),
        std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < dense.size(); ++i)
      all[i / count(1, columns) * count(1, columns + gap) + i % count(1, columns)] = dense[i];
    DeviceArray<float> memory(*device_, static_cast<std::int64_t>(all.size()));
    memory.upload(*stream_, all.data(), memory.size());
    stream_->synchronise();
    return memory;
  }

  /// c of one product; `old`: what is in it before, and then accumulated to.
  std::vector<float> multiply(Product product, const Sizes& s, const std::vector<float>& a,
                              const std::vector<float>& b, const std::vector<float>* old) const {
    const bool at = product == Product::kAtB, bt = product == Product::kABt;
    const int a_columns = at ? s.m : s.k, b_columns = bt ? s.k : s.n;
    const int b_gap = at ? 3 : 0, c_gap = at ? 0 : 5;
    const auto a_there = upload(a, a_columns, 2), b_there = upload(b, b_columns, b_gap);
    const auto c_there = upload(
        old ? *old : std::vector<float>(count(s.m, s.n), std::numeric_limits<float>::quiet_NaN()),
        s.n, c_gap);
    const ConstMatrixView a_view(a_there.data(), at ? s.k : s.m, a_columns, a_columns + 2);
    const ConstMatrixView b_view(b_there.data(), bt ? s.n : s.k, b_columns, b_columns + b_gap);
    const MatrixView c_view(c_there.data(), s.m, s.n, s.n + c_gap);
    const std::size_t bytes = at   ? multiply_at_b_workspace(*device_, s.m, s.k, s.n)
                              : bt ? multiply_a_bt_workspace(*device_, s.m, s.k, s.n)
                                   : multiply_workspace(*device_, s.m, s.k, s.n);
    const DeviceArray<float> scratch(*device_, static_cast<std::int64_t>(bytes / sizeof(float)));
    const Workspace workspace{scratch.data(), scratch.bytes()};
    const MultiplyOptions options{.accumulate = old != nullptr};
    switch (product) {
      case Product::kAB:
        curvseg::multiply(*stream_, a_view, b_view, options, workspace, c_view);
        break;
      case Product::kAtB:
        multiply_at_b(*stream_, a_view, b_view, options, workspace, c_view);
        break;
      case Product::kABt:
        multiply_a_bt(*stream_, a_view, b_view, options, workspace, c_view);
        break;
    }
    const auto all = c_there.to_host(*stream_);
    std::vector<float> result;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (i % count(1, s.n + c_gap) < count(1, s.n))
        result.push_back(all[i]);
      else
        EXPECT_TRUE(all[i] != all[i]) << "written between rows";
    return result;
  }

  /// The operands of a product as [m,k] and [k,n].
  static std::pair<DenseMatrix, DenseMatrix> plain(Product product, const Sizes& s,
                                                   const std::vector<float>& a,
                                                   const std::vector<float>& b) {
    const auto m = count(1, s.m), k = count(1, s.k), n = count(1, s.n);
    return {product == Product::kAtB ? transpose(DenseMatrix(k, m, a)) : DenseMatrix(m, k, a),
            product == Product::kABt ? transpose(DenseMatrix(n, k, b)) : DenseMatrix(k, n, b)};
  }

  static std::vector<Sizes> sizes() {
    return {{1, 1, 1}, {3, 2, 5}, {17, 33, 9}, {40, 70, 35}, {16, 145, 64}, {2, 0, 3}, {0, 2, 3}};
  }

  std::optional<Device> device_;  // where there is one
  std::optional<Stream> stream_;
};

constexpr Product kProducts[] = {Product::kAB, Product::kAtB, Product::kABt};

TEST_P(MatrixProducts, WholeNumbersAreExact) {
  for (const Product product : kProducts)
    for (const Sizes& s : sizes())
      for (const bool accumulate : {false, true}) {
        const auto a = small_integers(count(s.m, s.k), 1), b = small_integers(count(s.k, s.n), 2);
        const auto old = small_integers(count(s.m, s.n), 3);
        const auto [left, right] = plain(product, s, a, b);
        std::vector<double> expected = reference::multiply(left, right).values;
        if (accumulate)
          for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += old[i];
        const auto c = multiply(product, s, a, b, accumulate ? &old : nullptr);
        EXPECT_EQ(std::vector<double>(c.begin(), c.end()), expected)
            << static_cast<int>(product) << ": " << s.m << ", " << s.k << ", " << s.n;
      }
}

TEST_P(MatrixProducts, RoundingStaysWithinItsBound) {
  for (const Product product : kProducts)
    for (const Sizes& s : sizes()) {
      const auto a = uniform_floats(count(s.m, s.k), 1), b = uniform_floats(count(s.k, s.n), 2);
      const auto [left, right] = plain(product, s, a, b);
      std::vector<double> bound = reference::multiply(absolute(left), absolute(right)).values;
      for (double& value : bound)
        value *= 2.0 * std::sqrt(static_cast<double>(s.k)) * std::numeric_limits<float>::epsilon();
      testing::expect_within(multiply(product, s, a, b, nullptr),
                             reference::multiply(left, right).values, bound);
    }
}

TEST_P(MatrixProducts, WhatDoesNotFitIsRefused) {
  const DeviceArray<float> memory(*device_, 64), scratch(*device_, 4096);
  const Workspace workspace{scratch.data(), scratch.bytes()};
  const auto view = [&](int rows, int columns, std::int64_t ld) {
    return MatrixView(memory.data(), rows, columns, ld);
  };
  const auto expect_refused = [](auto call, const char* part) {
    try {
      call();
      ADD_FAILURE() << "accepted; expected a refusal with \"" << part << "\"";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  };
  expect_refused(
      [&] {
        curvseg::multiply(*stream_, view(2, 3, 3), view(4, 2, 2), {}, workspace, view(2, 2, 2));
      },
      "multiply: a is 2x3, the other matrices want 2x4");
  expect_refused(
      [&] {
        curvseg::multiply(*stream_, view(2, 3, 3), view(3, 2, 3), {}, workspace, view(2, 2, 2));
      },
      "multiply: b is 3x2 with a row stride of 3, it has to be dense");
  expect_refused(
      [&] { multiply_at_b(*stream_, view(3, 2, 2), view(3, 2, 2), {}, workspace, view(2, 2, 4)); },
      "multiply_at_b: c is 2x2 with a row stride of 4");
  expect_refused(
      [&] { multiply_a_bt(*stream_, view(2, 3, 3), view(2, 3, 2), {}, workspace, view(2, 2, 2)); },
      "multiply_a_bt: b is 2x3, more than its row stride of 2");
  expect_refused(
      [&] {
        curvseg::multiply(*stream_, {nullptr, 2, 3}, view(3, 2, 2), {}, workspace, view(2, 2, 2));
      },
      "a is 2x3 without memory");
  expect_refused(
      [&] { curvseg::multiply(*stream_, view(2, 3, 3), view(3, 2, 2), {}, {}, view(2, 2, 2)); },
      "the workspace has 0 bytes");
  expect_refused([&] { multiply_workspace(*device_, 1 << 29, 1, 1); }, "536870912 rows or columns");
  expect_refused([&] { multiply_at_b_workspace(*device_, 1, -1, 1); }, "-1 rows or columns");
}

INSTANTIATE_TEST_SUITE_P(Targets, MatrixProducts, ::testing::ValuesIn(device_names()),
                         testing::name_of_parameter);

}  // namespace
}  // namespace curvseg
