// Eigenvalues and eigenvectors of symmetric matrices, on every target.
#include <algorithm>

#include "dense_cases.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

class SymmetricEigenKernel : public DenseTest {
 protected:
  struct Result {
    std::vector<std::vector<float>> values;
    std::vector<SquareMatrix> vectors;
    std::vector<int> status;
  };

  /// All in one call; `before`: what the outputs hold at first, NaN without.
  Result decompose(const std::vector<SquareMatrix>& batch,
                   const SquareMatrix* before = nullptr) const {
    std::vector<DeviceBuffer<float>> a, values, vectors;
    const auto status = output<int>(batch.size());
    SymmetricEigen p;
    p.count = static_cast<int>(batch.size());
    for (std::size_t j = 0; j < batch.size(); ++j) {
      const int n = batch[j].n;
      a.push_back(upload_matrix(batch[j]));
      values.push_back(before ? upload(std::vector<float>(batch[j].size(), 7.0f))
                              : output<float>(batch[j].size()));
      vectors.push_back(before ? upload_matrix(*before) : output_matrix(n));
      p.matrix[j] = {n,         a[j].get(),      stride(n), values[j].get(), vectors[j].get(),
                     stride(n), status.get() + j};
    }
    const auto scratch = workspace(kernels().symmetric_eigen_workspace(p));
    p.workspace = scratch.get();
    kernels().symmetric_eigen(stream(), p);
    Result result{{}, {}, download(status)};
    for (std::size_t j = 0; j < batch.size(); ++j) {
      result.values.push_back(download(values[j]));
      result.vectors.push_back(download_matrix(vectors[j], batch[j].n));
    }
    return result;
  }

  static double tolerance(int n) { return 8.0 * std::sqrt(static_cast<double>(n)) * kEpsilon; }

  /// Ascending values, VᵀV = I and AV = V·diag(values), within c·√n·ε·‖A‖.
  static void expect_pairs(const SquareMatrix& a, const std::vector<float>& values,
                           const SquareMatrix& vectors) {
    EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
    const DenseMatrix v = vectors.reference();
    EXPECT_TRUE(loss_of_orthogonality(v) <= tolerance(a.n)) << "n = " << a.n;
    const DenseMatrix av = multiply(a.reference(), v);
    const double norm = std::max(std::fabs(values.front()), std::fabs(values.back()));
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
      for (std::size_t k = 0; k < a.size(); ++k) {
        const double error = std::fabs(av.at(i, k) - v.at(i, k) * values[k]);
        worst = !(error <= worst) ? error : worst;
      }
    EXPECT_TRUE(worst <= tolerance(a.n) * norm)
        << "n = " << a.n << ": residual " << worst << ", bound " << tolerance(a.n) * norm;
  }
};

TEST_P(SymmetricEigenKernel, ABatchOfMixedSizes) {
  std::vector<SquareMatrix> batch;
  for (const int n : sizes()) batch.push_back(symmetric_matrix(n, static_cast<unsigned>(n)));
  const auto result = decompose(batch);
  for (std::size_t j = 0; j < batch.size(); ++j) {
    EXPECT_EQ(result.status[j], 0);
    expect_pairs(batch[j], result.values[j], result.vectors[j]);
  }
}

TEST_P(SymmetricEigenKernel, ValuesAgreeWithJacobiRotations) {
  for (const int n : {1, 2, 3, 17}) {
    const SquareMatrix a = symmetric_matrix(n, 6);
    const auto expected = reference::symmetric_eigenvalues(a.reference());
    const double norm = std::max(std::fabs(expected.front()), std::fabs(expected.back()));
    expect_within(decompose({a}).values[0], expected,
                  std::vector<double>(expected.size(), tolerance(n) * norm));
  }
}

TEST_P(SymmetricEigenKernel, DiagonalMatricesAreSortedExactly) {
  SquareMatrix a = identity_matrix(4);
  const std::vector<float> diagonal{3.0f, -1.0f, 8.0f, 0.0f};
  for (int i = 0; i < 4; ++i) a.at(i, i) = diagonal[static_cast<std::size_t>(i)];
  const auto result = decompose({a});
  EXPECT_EQ(result.values[0], (std::vector<float>{-1.0f, 0.0f, 3.0f, 8.0f}));
  const int from[4] = {1, 3, 0, 2};
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < 4; ++i) {
      SquareMatrix v = result.vectors[0];
      EXPECT_EQ(std::fabs(v.at(i, k)), i == from[k] ? 1.0f : 0.0f);
    }
}

TEST_P(SymmetricEigenKernel, RepeatedAndZeroEigenvalues) {
  SquareMatrix ones = identity_matrix(18);
  std::fill(ones.values.begin(), ones.values.end(), 1.0f);  // 18, and 0 seventeen times
  for (const SquareMatrix& a : {ones, identity_matrix(5), identity_matrix(5, 0.0f)}) {
    const auto result = decompose({a});
    EXPECT_EQ(result.status[0], 0);
    expect_pairs(a, result.values[0], result.vectors[0]);
  }
}

TEST_P(SymmetricEigenKernel, NonFiniteMatricesLeaveTheOutputsAsTheyWere) {
  const SquareMatrix old = uniform_matrix(20, 9);
  std::vector<SquareMatrix> batch(3, symmetric_matrix(20, 3));
  batch[0].at(19, 0) = NAN;
  batch[2].at(0, 19) = std::numeric_limits<float>::infinity();
  const auto result = decompose(batch, &old);
  EXPECT_EQ(result.status, (std::vector<int>{1, 0, 1}));
  for (const std::size_t j : {0u, 2u}) {
    EXPECT_EQ(result.values[j], std::vector<float>(20, 7.0f));
    EXPECT_EQ(result.vectors[j].values, old.values);
  }
  expect_pairs(batch[1], result.values[1], result.vectors[1]);
}

TEST_P(SymmetricEigenKernel, TheSameBitsOnEverySchedule) {
  std::vector<SquareMatrix> batch;
  for (int j = 0; j < kDenseBatch; ++j)
    batch.push_back(symmetric_matrix(j % 5 == 0 ? 65 : 1 + j, static_cast<unsigned>(j)));
  expect_same_on_every_schedule(GetParam(), [&] {
    const auto result = decompose(batch);
    std::vector<float> all;
    for (std::size_t j = 0; j < batch.size(); ++j) {
      all.insert(all.end(), result.values[j].begin(), result.values[j].end());
      all.insert(all.end(), result.vectors[j].values.begin(), result.vectors[j].values.end());
    }
    return all;
  });
}

TEST_P(SymmetricEigenKernel, NothingToDecompose) {
  SymmetricEigen p;
  EXPECT_EQ(kernels().symmetric_eigen_workspace(p), 0);
  kernels().symmetric_eigen(stream(), p);
  synchronise();
  // A matrix of no rows among others.
  const SquareMatrix a = symmetric_matrix(3, 1);
  const auto result = decompose({{0, {}}, a});
  EXPECT_EQ(result.status, (std::vector<int>{0, 0}));
  EXPECT_EQ(result.vectors[1].values, decompose({a}).vectors[0].values);
}

TEST_P(SymmetricEigenKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int n : {2, 17, 50}) {
    const SquareMatrix a = symmetric_matrix(n, 6);
    const PixelBuffer from = far_matrix(target(), a);
    const PixelBuffer to = far_matrix(target(), {n, std::vector<float>(a.values.size(), NAN)});
    const auto values = output<float>(a.size());
    SymmetricEigen p;
    p.count = 1;
    p.matrix[0] = {n, from.get(), from.ld(), values.get(), to.get(), to.ld(), nullptr};
    const auto scratch = workspace(kernels().symmetric_eigen_workspace(p));
    p.workspace = scratch.get();
    kernels().symmetric_eigen(stream(), p);
    const auto expected = decompose({a});
    EXPECT_EQ(download(values), expected.values[0]);
    EXPECT_EQ(to.values(), expected.vectors[0].values);
  }
}

CURVSEG_INSTANTIATE_TARGETS(SymmetricEigenKernel);

}  // namespace
}  // namespace curvseg::testing
