// The orthonormal factor of a QR factorisation, on every target.
#include "dense_cases.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

class OrthonormalBasisKernel : public DenseTest {
 protected:
  struct Result {
    std::vector<SquareMatrix> q;
    std::vector<int> status;
  };

  /// All in one call, in place.
  Result orthonormalise(const std::vector<SquareMatrix>& batch) const {
    std::vector<DeviceBuffer<float>> q;
    const auto status = output<int>(batch.size());
    OrthonormalBasis p;
    p.count = static_cast<int>(batch.size());
    for (std::size_t j = 0; j < batch.size(); ++j) {
      q.push_back(upload_matrix(batch[j]));
      p.matrix[j] = {batch[j].n, q[j].get(),         stride(batch[j].n),
                     q[j].get(), stride(batch[j].n), status.get() + j};
    }
    const auto scratch = workspace(kernels().orthonormal_basis_workspace(p));
    p.workspace = scratch.get();
    kernels().orthonormal_basis(stream(), p);
    Result result{{}, download(status)};
    for (std::size_t j = 0; j < batch.size(); ++j)
      result.q.push_back(download_matrix(q[j], batch[j].n));
    return result;
  }

  static double tolerance(int n) { return 4.0 * std::sqrt(static_cast<double>(n)) * kEpsilon; }

  /// QᵀQ = I and R = QᵀM upper triangular with a diagonal ≥ 0, within c·√n·ε of M's columns. With
  /// M regular nothing but the Q of the definition has these properties.
  static void expect_basis(const SquareMatrix& m, const SquareMatrix& q) {
    EXPECT_TRUE(loss_of_orthogonality(q.reference()) <= tolerance(m.n)) << "n = " << m.n;
    const DenseMatrix r = multiply(transpose(q.reference()), m.reference());
    int failures = 0;
    for (std::size_t j = 0; j < m.size(); ++j) {
      double norm = 0.0;
      for (std::size_t i = 0; i < m.size(); ++i) norm += r.at(i, j) * r.at(i, j);
      norm = std::sqrt(norm);
      for (std::size_t i = j + 1; i < m.size(); ++i)
        failures += !(std::fabs(r.at(i, j)) <= tolerance(m.n) * norm);
      failures += !(r.at(j, j) >= -tolerance(m.n) * norm);
    }
    EXPECT_EQ(failures, 0) << "elements of R, n = " << m.n;
  }
};

TEST_P(OrthonormalBasisKernel, ABatchOfMixedSizes) {
  std::vector<SquareMatrix> batch;
  for (const int n : sizes()) batch.push_back(uniform_matrix(n, static_cast<unsigned>(n)));
  const auto result = orthonormalise(batch);
  for (std::size_t j = 0; j < batch.size(); ++j) {
    EXPECT_EQ(result.status[j], 0);
    expect_basis(batch[j], result.q[j]);
  }
}

TEST_P(OrthonormalBasisKernel, SignsFollowTheMatrix) {
  SquareMatrix m = identity_matrix(3, -2.0f);
  m.at(1, 1) = 3.0f;
  SquareMatrix expected = identity_matrix(3, -1.0f);
  expected.at(1, 1) = 1.0f;
  const SquareMatrix q = orthonormalise({m}).q[0];
  expect_within(q.values, {expected.values.begin(), expected.values.end()},
                std::vector<double>(9, 1e-6));
  EXPECT_EQ(orthonormalise({SquareMatrix{1, {-5.0f}}}).q[0].values, std::vector<float>{-1.0f});
  EXPECT_EQ(orthonormalise({SquareMatrix{1, {5.0f}}}).q[0].values, std::vector<float>{1.0f});
}

TEST_P(OrthonormalBasisKernel, AnOrthonormalMatrixStaysWhereItIs) {
  const SquareMatrix q = orthonormalise({uniform_matrix(17, 8)}).q[0];
  expect_within(orthonormalise({q}).q[0].values, {q.values.begin(), q.values.end()},
                std::vector<double>(q.values.size(), 2.0 * tolerance(17)));
}

TEST_P(OrthonormalBasisKernel, RankDeficientMatricesGiveABasisAllTheSame) {
  SquareMatrix twice = uniform_matrix(19, 2);
  for (int i = 0; i < 19; ++i) twice.at(i, 12) = twice.at(i, 4);
  for (const SquareMatrix& m : {identity_matrix(6, 0.0f), twice}) {
    const auto result = orthonormalise({m});
    EXPECT_EQ(result.status[0], 0);
    expect_basis(m, result.q[0]);
  }
}

TEST_P(OrthonormalBasisKernel, NonFiniteMatricesAreLeftAsTheyWere) {
  std::vector<SquareMatrix> batch(3, uniform_matrix(20, 1));
  batch[0].at(3, 19) = std::numeric_limits<float>::infinity();
  batch[2].at(19, 3) = -std::numeric_limits<float>::infinity();
  const auto result = orthonormalise(batch);
  EXPECT_EQ(result.status, (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(result.q[0].values, batch[0].values);
  EXPECT_EQ(result.q[2].values, batch[2].values);
  expect_basis(batch[1], result.q[1]);
  SquareMatrix nan = batch[1];
  nan.at(0, 0) = NAN;
  const auto left = orthonormalise({nan});
  EXPECT_EQ(left.status[0], 1);
  EXPECT_TRUE(std::isnan(left.q[0].values[0]));
  EXPECT_EQ(left.q[0].values[1], nan.values[1]);
}

TEST_P(OrthonormalBasisKernel, TheSameBitsOnEverySchedule) {
  std::vector<SquareMatrix> batch;
  for (int j = 0; j < kDenseBatch; ++j)
    batch.push_back(uniform_matrix(j % 5 == 0 ? 65 : 1 + j, static_cast<unsigned>(j)));
  expect_same_on_every_schedule(GetParam(), [&] {
    std::vector<float> all;
    for (const SquareMatrix& q : orthonormalise(batch).q)
      all.insert(all.end(), q.values.begin(), q.values.end());
    return all;
  });
}

TEST_P(OrthonormalBasisKernel, NothingToFactorise) {
  OrthonormalBasis p;
  EXPECT_EQ(kernels().orthonormal_basis_workspace(p), 0);
  kernels().orthonormal_basis(stream(), p);
  synchronise();
  // A matrix of no rows among others.
  const SquareMatrix m = uniform_matrix(3, 1);
  const auto result = orthonormalise({{0, {}}, m});
  EXPECT_EQ(result.status, (std::vector<int>{0, 0}));
  EXPECT_EQ(result.q[1].values, orthonormalise({m}).q[0].values);
}

TEST_P(OrthonormalBasisKernel, OffsetsBeyondTwoToTheThirtyOneElements) {
  CURVSEG_SKIP_WITHOUT_FAR_MEMORY();
  for (const int n : {2, 17, 50}) {
    const SquareMatrix m = uniform_matrix(n, 6);
    const PixelBuffer from = far_matrix(target(), m);
    const PixelBuffer to = far_matrix(target(), {n, std::vector<float>(m.values.size(), NAN)});
    OrthonormalBasis p;
    p.count = 1;
    p.matrix[0] = {n, from.get(), from.ld(), to.get(), to.ld(), nullptr};
    const auto scratch = workspace(kernels().orthonormal_basis_workspace(p));
    p.workspace = scratch.get();
    kernels().orthonormal_basis(stream(), p);
    synchronise();
    EXPECT_EQ(to.values(), orthonormalise({m}).q[0].values);
  }
}

CURVSEG_INSTANTIATE_TARGETS(OrthonormalBasisKernel);

}  // namespace
}  // namespace curvseg::testing
