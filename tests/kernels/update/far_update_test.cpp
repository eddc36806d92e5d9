// Updates of more than 2^31 elements, on the host.
#include <cmath>

#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

class FarUpdates : public TargetTest {
 protected:
  static constexpr std::int64_t kN = kBeyondTwoToTheThirtyOne;
  static constexpr std::size_t kBytes = static_cast<std::size_t>(kN) * sizeof(float);

  void SetUp() override {
    TargetTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam() != "host")
      GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  }

  static void set(float* vector, float value) {
    for (const std::int64_t i : {kN - 6, kN - 1}) vector[i] = value;
  }
  static void expect(const float* vector, float value, float elsewhere = 0.0f) {
    for (const std::int64_t i : {kN - 6, kN - 1}) EXPECT_EQ(vector[i], value) << i;
    for (const std::int64_t i : {kN - 7, kN - 5, kN - 2}) EXPECT_EQ(vector[i], elsewhere) << i;
  }
  DeviceBuffer<UpdateScalars> scalars() const {
    return upload(std::vector<UpdateScalars>{{.learning_rate = 0.5f}});
  }
  DeviceBuffer<MeanWeights> halves() const {
    return upload(std::vector<MeanWeights>{{.keep = 0.5f, .take = 0.5f}});
  }
};

#define CURVSEG_SKIP_WITHOUT(memory) \
  if (!(memory)) GTEST_SKIP() << "8 GiB of address space for each vector are not to be had here"

TEST_P(FarUpdates, AdamDirectionOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory grad(kBytes);
  const RepeatingMemory to(kN), m(kN), v(kN);
  CURVSEG_SKIP_WITHOUT(grad.get() && to.get() && m.get() && v.get());
  set(grad.get(), 4.0f);
  const auto unbiased = scalars();
  kernels().adam_direction(stream(), {.n = kN,
                                      .grad = grad.get(),
                                      .m = m.get(),
                                      .v = v.get(),
                                      .to = to.get(),
                                      .scalars = unbiased.get(),
                                      .beta1 = 0.5f,
                                      .beta2 = 0.75f,
                                      .epsilon = 2.0f});
  expect(m.get(), 2.0f);
  expect(v.get(), 4.0f);
  expect(to.get(), 0.5f);
}

TEST_P(FarUpdates, ProjectionOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory grad(kBytes);
  const RepeatingMemory theta(kN);
  CURVSEG_SKIP_WITHOUT(grad.get() && theta.get());
  set(grad.get(), -4.0f), set(theta.get(), 1.0f);  // moved to 3 and 3
  const auto rate = scalars();
  ProjectedUpdate p{.n = kN, .theta = theta.get(), .grad = grad.get(), .scalars = rate.get()};
  p.radius = std::sqrt(4.5f);
  const auto scratch = upload(
      std::vector<float>(static_cast<std::size_t>(kernels().projected_update_workspace(p)), NAN));
  p.workspace = scratch.get();
  kernels().projected_update(stream(), p);
  for (const std::int64_t i : {kN - 6, kN - 1}) EXPECT_FLOAT_EQ(theta.get()[i], 1.5f) << i;
  EXPECT_EQ(theta.get()[kN - 5], 0.0f);
}

TEST_P(FarUpdates, PreconditioningOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory grad(kBytes);
  const RepeatingMemory theta(kN), v(kN);
  CURVSEG_SKIP_WITHOUT(grad.get() && theta.get() && v.get());
  set(grad.get(), 4.0f);
  const auto rate = scalars();
  const auto weights = halves();
  PreconditionedUpdate p{.n = kN, .theta = theta.get(), .grad = grad.get()};
  p.scalars = rate.get();
  p.inverse = grad.get();
  kernels().preconditioned_update(stream(), p);
  expect(theta.get(), -0.5f * 16.0f);
  p.inverse = nullptr;
  p.v = v.get();
  p.value = grad.get();
  p.weights = weights.get();
  p.damping = 2.0f;
  kernels().preconditioned_update(stream(), p);
  expect(v.get(), 2.0f);
  expect(theta.get(), -8.0f - 0.5f);
}

TEST_P(FarUpdates, DiagonalMeansOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory d(kBytes);
  const RepeatingMemory h(kN);
  CURVSEG_SKIP_WITHOUT(d.get() && h.get());
  set(d.get(), -4.0f), set(h.get(), 2.0f);
  const auto weights = halves();
  DiagonalMean p{.n = kN, .d = d.get(), .h = h.get(), .weights = weights.get()};
  kernels().diagonal_mean(stream(), p);
  expect(h.get(), -1.0f);
  p.square = true;
  kernels().diagonal_mean(stream(), p);
  expect(h.get(), 7.5f);
}

TEST_P(FarUpdates, ColumnMeansOfMoreThanTwoToTheThirtyOneElements) {
  constexpr std::int64_t kColumns = (kN + 2) / 3;  // the last row's last ones are near the end
  const RepeatingMemory x(3 * kColumns);
  CURVSEG_SKIP_WITHOUT(x.get());
  for (const std::int64_t back : {1, 6}) x.get()[3 * kColumns - back] = -3.0f;
  kernels().column_means(stream(), {.rows = 3, .columns = kColumns, .x = x.get()});
  for (const std::int64_t back : {1, 6}) EXPECT_EQ(x.get()[3 * kColumns - back], 1.0f) << back;
  for (const std::int64_t back : {2, 5, 7}) EXPECT_EQ(x.get()[3 * kColumns - back], 0.0f) << back;
}

TEST_P(FarUpdates, DampedDiagonalOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory grad(kBytes);
  const RepeatingMemory theta(kN), m(kN);
  CURVSEG_SKIP_WITHOUT(grad.get() && theta.get() && m.get());
  set(grad.get(), 4.0f);
  const auto rate = scalars();
  DampedDiagonalUpdate p{.n = kN, .theta = theta.get(), .grad = grad.get(), .m = m.get()};
  p.h = grad.get();
  p.scalars = rate.get();
  p.beta1 = 0.5f;
  p.gamma = 2.0f;
  p.epsilon = 1.0f;
  kernels().damped_diagonal_update(stream(), p);
  expect(m.get(), 2.0f);
  expect(theta.get(), -0.5f * 2.0f / 8.0f);
}

TEST_P(FarUpdates, InverseThreeQuarterPowerOfMoreThanTwoToTheThirtyOneElements) {
  const SparseMemory x(kBytes);
  const RepeatingMemory to(kN);
  CURVSEG_SKIP_WITHOUT(x.get() && to.get());
  set(x.get(), 15.0f);
  const auto damping = upload(std::vector<float>{1.0f});
  kernels().inverse_three_quarter_power(
      stream(), {.n = kN, .x = x.get(), .damping = damping.get(), .to = to.get()});
  expect(to.get(), 0.125f, 1.0f);
}

CURVSEG_INSTANTIATE_TARGETS(FarUpdates);

}  // namespace
}  // namespace curvseg::testing
