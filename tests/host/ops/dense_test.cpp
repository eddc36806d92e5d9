// The public functions for dense factorisations and patches: that they reach their kernels, and
// what they refuse. The kernels themselves are tested in tests/kernels.
#include <gmock/gmock.h>

#include "curvseg/ops.hpp"

namespace curvseg {
namespace {

class DenseOperations : public ::testing::Test {
 protected:
  template <class Call>
  void expect_refused(Call call, const std::string& part) {
    try {
      call();
      ADD_FAILURE() << "accepted; expected a refusal with \"" << part << "\"";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  }
  DeviceArray<float> upload(const std::vector<float>& values) {
    DeviceArray<float> memory(device_, static_cast<std::int64_t>(values.size()));
    memory.upload(stream_, values.data(), memory.size());
    stream_.synchronise();
    return memory;
  }
  Workspace scratch(std::size_t bytes) {
    EXPECT_LE(bytes, scratch_.bytes());
    return {scratch_.data(), bytes};
  }

  Device device_ = Device::open("host");
  Stream stream_{device_};
  DeviceArray<float> scratch_{device_, 4096}, out_{device_, 64};
  DeviceArray<std::int32_t> status_{device_, 1};
};

constexpr int kTwo[] = {2};

TEST_F(DenseOperations, InverseOfTwoByTwo) {
  const auto a = upload({1.0f, 2.0f, 2.0f, 7.0f});  // + (0.5·4 + 1)·I = [4 2; 2 10], determinant 36
  const InverseSpdOperands m{{a.data(), 2, 2}, {out_.data(), 2, 2}, status_.data()};
  inverse_spd(stream_, {&m, 1}, {.relative = 0.5f, .absolute = 1.0f},
              scratch(inverse_spd_workspace(device_, kTwo)));
  const float expected[] = {10.0f / 36, -2.0f / 36, -2.0f / 36, 4.0f / 36};
  const auto values = out_.to_host(stream_);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(values[i], expected[i], 1e-7f) << i;
  EXPECT_EQ(status_.to_host(stream_)[0], 0);
}

TEST_F(DenseOperations, BasisOfTwoByTwo) {
  const auto m = upload({3.0f, 1.0f, -4.0f, 2.0f});
  const OrthonormalBasisOperands operands{{m.data(), 2, 2}, {out_.data(), 2, 2}, status_.data()};
  orthonormal_basis(stream_, {&operands, 1}, scratch(orthonormal_basis_workspace(device_, kTwo)));
  const float expected[] = {0.6f, 0.8f, -0.8f, 0.6f};
  const auto values = out_.to_host(stream_);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(values[i], expected[i], 1e-6f) << i;
}

TEST_F(DenseOperations, EigenvectorsOfTwoByTwo) {
  const auto a = upload({2.0f, 1.0f, 1.0f, 2.0f});  // 1 along (1, −1), 3 along (1, 1)
  const SymmetricEigenOperands operands{
      {a.data(), 2, 2}, {out_.data() + 4, 2}, {out_.data(), 2, 2}, status_.data()};
  symmetric_eigen(stream_, {&operands, 1}, scratch(symmetric_eigen_workspace(device_, kTwo)));
  const auto values = out_.to_host(stream_);
  EXPECT_NEAR(values[4], 1.0f, 1e-6f);
  EXPECT_NEAR(values[5], 3.0f, 1e-6f);
  EXPECT_NEAR(values[0], -values[2], 1e-6f) << "column 0";
  EXPECT_NEAR(values[1], values[3], 1e-6f) << "column 1";
}

TEST_F(DenseOperations, RefuseWhatDoesNotFit) {
  const MatrixView square(out_.data(), 2, 2), wide(out_.data(), 2, 3), none(nullptr, 2, 2);
  const auto invert = [&](const ConstMatrixView& a, const MatrixView& inverse, std::size_t bytes) {
    const InverseSpdOperands m{a, inverse, nullptr};
    inverse_spd(stream_, {&m, 1}, {}, scratch(bytes));
  };
  expect_refused([&] { invert(wide, square, 64); }, "inverse_spd: a is 2x3, which is not square");
  expect_refused([&] { invert(square, wide, 64); }, "a is 2x2, inverse is 2x3");
  expect_refused([&] { invert(square, none, 64); }, "inverse is 2x2 without memory");
  expect_refused([&] { invert(square, square, 8); }, "the workspace has 8 bytes");
  expect_refused([&] { invert({out_.data(), 2, 2, 1}, square, 64); }, "row stride of 1");
  const std::vector<InverseSpdOperands> many(33, {square, square, nullptr});
  expect_refused([&] { inverse_spd(stream_, many, {}, scratch(64)); }, "33 matrices were given");
  const int negative[] = {-1}, large[] = {20000};
  expect_refused([&] { orthonormal_basis_workspace(device_, negative); }, "-1 rows");
  expect_refused([&] { symmetric_eigen_workspace(device_, large); }, "20000 rows");
  const SymmetricEigenOperands m{square, {out_.data(), 3}, square, nullptr};
  expect_refused([&] { symmetric_eigen(stream_, {&m, 1}, scratch(64)); }, "values has 3 entries");
}

TEST_F(DenseOperations, PatchesOfATinyImage) {
  Tensor x(device_, {1, 2, 2, 1});
  x.upload(stream_, {1.0f, 2.0f, 3.0f, 4.0f});
  const auto two = upload({2.0f});  // cancels 1/√4
  const MatrixView rows(out_.data(), 4, 5);
  const GatherPatchesOptions options{
      .geometry = {.pad_h = 1, .pad_w = 1}, .append_one = true, .scale = two.data()};
  // A 2x2 filter at stride 1 with padding 1 has 3x3 positions; at stride 2, 2x2.
  GatherPatchesOptions strided = options;
  strided.geometry.stride_h = strided.geometry.stride_w = 2;
  gather_patches(stream_, x, 2, 2, strided, nullptr, rows);
  auto values = out_.to_host(stream_);
  values.resize(20);
  EXPECT_EQ(values,
            (std::vector<float>{0, 0, 0, 1, 1, 0, 0, 2, 0, 1, 0, 3, 0, 0, 1, 4, 0, 0, 0, 1}));

  expect_refused([&] { gather_patches(stream_, x, 2, 2, options, nullptr, rows); }, "no seed");
  expect_refused([&] { gather_patches(stream_, x, 3, 2, strided, nullptr, rows); },
                 "rows has 5 columns, a patch of 3x2 pixels and 1 channels has 6 and a 1");
  expect_refused([&] { gather_patches(stream_, x, 0, 2, strided, nullptr, rows); }, "0x2");
  expect_refused(
      [&] {
        gather_patches(stream_, x, 2, 2, strided, nullptr, {out_.data(), 4, 5, 4});
      },
      "row stride of 4");
}

}  // namespace
}  // namespace curvseg
