// Inverses of symmetric positive definite matrices, on every target.
#include "dense_cases.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

class InverseSpdKernel : public DenseTest {
 protected:
  struct Result {
    std::vector<SquareMatrix> inverse;
    std::vector<int> status;
  };

  /// All in one call; `before`: what the inverses hold at first.
  Result invert(const std::vector<SquareMatrix>& batch, float relative, float absolute,
                const float* damping = nullptr, const SquareMatrix* before = nullptr) const {
    std::vector<DeviceBuffer<float>> a, inverse;
    const auto status = output<int>(batch.size());
    InverseSpd p;
    p.count = static_cast<int>(batch.size());
    p.relative = relative;
    p.absolute = absolute;
    p.damping = damping;
    for (std::size_t j = 0; j < batch.size(); ++j) {
      a.push_back(upload_matrix(batch[j]));
      inverse.push_back(before ? upload_matrix(*before) : output_matrix(batch[j].n));
      p.matrix[j] = {batch[j].n,       a[j].get(),         stride(batch[j].n),
                     inverse[j].get(), stride(batch[j].n), status.get() + j};
    }
    const auto scratch = workspace(kernels().inverse_spd_workspace(p));
    p.workspace = scratch.get();
    kernels().inverse_spd(stream(), p);
    Result result{{}, download(status)};
    for (std::size_t j = 0; j < batch.size(); ++j)
      result.inverse.push_back(download_matrix(inverse[j], batch[j].n));
    return result;
  }

  /// |AX − I| ≤ c·√n·ε·(|A||X|): what rounding the products of a stable inversion leaves, with
  /// the row norms in place of |A||X|, since errors of L spread over its columns.
  static void expect_inverse(const SquareMatrix& a, double shift, const SquareMatrix& inverse) {
    DenseMatrix damped = a.reference();
    for (std::size_t i = 0; i < a.size(); ++i) damped.at(i, i) += shift;
    const DenseMatrix x = inverse.reference();
    const DenseMatrix product = multiply(damped, x);
    const double bound =
        4.0 * std::sqrt(static_cast<double>(a.n)) * kEpsilon * row_norm(damped) * row_norm(x);
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
      for (std::size_t j = 0; j < a.size(); ++j) {
        const double error = std::fabs(product.at(i, j) - (i == j ? 1.0 : 0.0));
        worst = !(error <= worst) ? error : worst;
        EXPECT_EQ(x.at(i, j), x.at(j, i));
      }
    EXPECT_TRUE(worst <= bound) << "n = " << a.n << ": residual " << worst << ", bound " << bound;
  }
};

TEST_P(InverseSpdKernel, ResidualsOfABatchOfMixedSizes) {
  std::vector<SquareMatrix> batch;
  for (const int n : sizes()) batch.push_back(positive_matrix(n, static_cast<unsigned>(n)));
  const auto result = invert(batch, 0.0f, 0.0f);
  for (std::size_t j = 0; j < batch.size(); ++j) {
    EXPECT_EQ(result.status[j], 0);
    expect_inverse(batch[j], 0.0, result.inverse[j]);
  }
}

TEST_P(InverseSpdKernel, AgreesWithElimination) {
  for (const int n : {1, 2, 3, 17}) {
    const SquareMatrix a = positive_matrix(n, 5);
    const auto result = invert({a}, 0.0f, 0.125f);
    DenseMatrix damped = a.reference();
    for (std::size_t i = 0; i < a.size(); ++i) damped.at(i, i) += 0.125;
    const DenseMatrix x = inverse(damped);
    const double bound = 4.0 * std::sqrt(static_cast<double>(n)) * kEpsilon * row_norm(damped) *
                         row_norm(x) * row_norm(x);
    expect_within(result.inverse[0].values, x.values, std::vector<double>(x.values.size(), bound));
  }
}

TEST_P(InverseSpdKernel, PowersOfFourAreExact) {
  for (const int n : {1, 5, 40}) {
    SquareMatrix a = identity_matrix(n), expected = a;
    for (int i = 0; i < n; ++i) {
      a.at(i, i) = std::ldexp(1.0f, 2 * (i % 7 - 3));
      expected.at(i, i) = 1.0f / a.at(i, i);
    }
    EXPECT_EQ(invert({a}, 0.0f, 0.0f).inverse[0].values, expected.values);
  }
}

TEST_P(InverseSpdKernel, DampingIsRelativeToTheMeanEigenvalueAndFromDeviceMemory) {
  SquareMatrix a = identity_matrix(4, 4.0f);
  a.at(0, 0) = 12.0f;
  a.at(1, 1) = 0.0f;  // trace 20, mean 5; with 0.4·5 + 2: diag(16, 4, 8, 8)
  const std::vector<float> expected{0.0625f, 0.25f, 0.125f, 0.125f};
  const auto diagonal = [](SquareMatrix x) {
    return std::vector<float>{x.at(0, 0), x.at(1, 1), x.at(2, 2), x.at(3, 3)};
  };
  const auto expect_near = [&](const SquareMatrix& x) {
    expect_within(diagonal(x), {expected.begin(), expected.end()}, std::vector<double>(4, 1e-7));
  };
  expect_near(invert({a}, 0.4f, 2.0f).inverse[0]);
  const auto damping = upload<float>({0.4f, 2.0f});
  expect_near(invert({a}, 100.0f, 100.0f, damping.get()).inverse[0]);
}

TEST_P(InverseSpdKernel, WhatCannotBeInvertedIsLeftAsItWas) {
  const SquareMatrix old = uniform_matrix(20, 9);
  std::vector<SquareMatrix> batch(6, positive_matrix(20, 3));
  batch[1].at(19, 0) = NAN;
  batch[2].at(0, 7) = std::numeric_limits<float>::infinity();
  batch[3] = identity_matrix(20);
  batch[3].at(18, 18) = -1.0f;
  batch[4] = identity_matrix(20, 0.0f);
  const auto result = invert(batch, 0.0f, 0.0f, nullptr, &old);
  EXPECT_EQ(result.status, (std::vector<int>{0, 1, 1, 1, 1, 0}));
  for (const std::size_t j : {1u, 2u, 3u, 4u}) EXPECT_EQ(result.inverse[j].values, old.values) << j;
  expect_inverse(batch[0], 0.0, result.inverse[0]);
  EXPECT_EQ(result.inverse[5].values, result.inverse[0].values);
  // Damping mends what is only singular.
  EXPECT_EQ(invert({batch[4]}, 0.0f, 0.25f).inverse[0].values, identity_matrix(20, 4.0f).values);
}

TEST_P(InverseSpdKernel, InPlaceWithoutAStatus) {
  const SquareMatrix a = positive_matrix(33, 4);
  const auto buffer = upload_matrix(a);
  InverseSpd p;
  p.count = 1;
  p.absolute = 0.5f;
  p.matrix[0] = {33, buffer.get(), stride(33), buffer.get(), stride(33), nullptr};
  const auto scratch = workspace(kernels().inverse_spd_workspace(p));
  p.workspace = scratch.get();
  kernels().inverse_spd(stream(), p);
  EXPECT_EQ(download_matrix(buffer, 33).values, invert({a}, 0.0f, 0.5f).inverse[0].values);
}

TEST_P(InverseSpdKernel, TheSameBitsInAnyBatchOnEverySchedule) {
  std::vector<SquareMatrix> batch;
  for (int j = 0; j < kDenseBatch; ++j)
    batch.push_back(positive_matrix(j % 5 == 0 ? 65 : 1 + j, static_cast<unsigned>(j)));
  const auto run = [&](const std::vector<SquareMatrix>& matrices) {
    std::vector<float> all;
    for (const SquareMatrix& x : invert(matrices, 0.01f, 0.0f).inverse)
      all.insert(all.end(), x.values.begin(), x.values.end());
    return all;
  };
  expect_same_on_every_schedule(GetParam(), [&] { return run(batch); });
  std::vector<float> alone;
  for (const SquareMatrix& a : batch) {
    const auto x = run({a});
    alone.insert(alone.end(), x.begin(), x.end());
  }
  EXPECT_TRUE(run(batch) == alone);
}

TEST_P(InverseSpdKernel, NothingToInvert) {
  InverseSpd p;
  EXPECT_EQ(kernels().inverse_spd_workspace(p), 0);
  kernels().inverse_spd(stream(), p);
  synchronise();
  // A matrix of no rows among others.
  const SquareMatrix a = positive_matrix(3, 1);
  const auto result = invert({{0, {}}, a}, 0.1f, 0.0f);
  EXPECT_EQ(result.status, (std::vector<int>{0, 0}));
  EXPECT_EQ(result.inverse[1].values, invert({a}, 0.1f, 0.0f).inverse[0].values);
}

TEST_P(InverseSpdKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int n : {2, 17, 50}) {
    const SquareMatrix a = positive_matrix(n, 6);
    const PixelBuffer from = far_matrix(target(), a);
    const PixelBuffer to = far_matrix(target(), {n, std::vector<float>(a.values.size(), NAN)});
    InverseSpd p;
    p.count = 1;
    p.absolute = 0.5f;
    p.matrix[0] = {n, from.get(), from.ld(), to.get(), to.ld(), nullptr};
    const auto scratch = workspace(kernels().inverse_spd_workspace(p));
    p.workspace = scratch.get();
    kernels().inverse_spd(stream(), p);
    synchronise();
    EXPECT_EQ(to.values(), invert({a}, 0.0f, 0.5f).inverse[0].values);
  }
}

CURVSEG_INSTANTIATE_TARGETS(InverseSpdKernel);

}  // namespace
}  // namespace curvseg::testing
