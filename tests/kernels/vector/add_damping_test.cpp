// Damping and the L2 term of a curvature product, on every target.
#include <cmath>
#include <string>

#include "support/random_data.hpp"
#include "support/schedules.hpp"
#include "support/sparse_memory.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

class AddDampingKernel : public TargetTest {
 protected:
  struct Input {
    std::vector<float> v, old, d;  // d may be empty
    const float* lambda = nullptr;
    float l2 = 0.0f;
    bool in_place = false;  // to is v
  };

  std::vector<float> run(const Input& in) const {
    const auto v = upload(in.v), d = upload(in.d), to = upload(in.old);
    const auto lambda = upload(std::vector<float>{in.lambda ? *in.lambda : std::nanf("")});
    float* result = in.in_place ? v.get() : to.get();
    kernels().add_damping(stream(), {.n = static_cast<std::int64_t>(in.v.size()),
                                     .v = v.get(),
                                     .lambda = in.lambda ? lambda.get() : nullptr,
                                     .d = in.d.empty() ? nullptr : d.get(),
                                     .l2 = in.l2,
                                     .to = result});
    return download(in.in_place ? v : to);
  }
};

TEST_P(AddDampingKernel, IsExactOnWholeNumbers) {
  const float lambda = 3.0f;
  for (const std::size_t n : {1u, 3u, 16u, 31u, 64u, 1000u, 5000u, 20011u})
    for (const bool damped : {false, true})
      for (const bool diagonal : {false, true})
        for (const float l2 : {0.0f, 2.0f}) {
          SCOPED_TRACE(std::to_string(n) + (damped ? ", lambda" : "") + (diagonal ? ", D" : "") +
                       (l2 != 0.0f ? ", L2" : ""));
          Input in{small_integers(n, 1), small_integers(n, 2), {}, damped ? &lambda : nullptr, l2};
          if (diagonal) in.d = small_integers(n, 3);
          std::vector<double> expected;
          for (std::size_t i = 0; i < n; ++i) {
            const double d = diagonal ? in.d[i] : 1.0;
            expected.push_back(in.old[i] + ((damped ? 3.0 * d : 0.0) + l2) * in.v[i]);
          }
          const auto actual = run(in);
          EXPECT_EQ(std::vector<double>(actual.begin(), actual.end()), expected);
          in.in_place = true;
          for (std::size_t i = 0; i < n; ++i) expected[i] += double(in.v[i]) - double(in.old[i]);
          const auto doubled = run(in);
          EXPECT_EQ(std::vector<double>(doubled.begin(), doubled.end()), expected) << "in place";
        }
}

TEST_P(AddDampingKernel, RoundsThreeTimes) {
  const float lambda = 0.37f;
  const Input in{uniform_floats(4001, 4), uniform_floats(4001, 5), uniform_floats(4001, 6), &lambda,
                 0.011f};
  std::vector<double> expected, bound;
  for (std::size_t i = 0; i < in.v.size(); ++i) {
    const double damping = double(lambda) * in.d[i] * in.v[i], l2 = double(in.l2) * in.v[i];
    expected.push_back(in.old[i] + damping + l2);
    bound.push_back(6e-8 * (std::fabs(in.old[i]) + 4 * std::fabs(damping) + 4 * std::fabs(l2)));
  }
  expect_within(run(in), expected, bound);
}

TEST_P(AddDampingKernel, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 20'003 : 100'003;  // several blocks
  const float lambda = 0.37f;
  Input in{uniform_floats(n, 7), uniform_floats(n, 8), uniform_floats(n, 9), &lambda, 0.011f};
  for (const bool in_place : {false, true}) {
    in.in_place = in_place;
    expect_same_on_every_schedule(GetParam(), [&] { return run(in); });
  }
}

TEST_P(AddDampingKernel, MoreThanTwoToTheThirtyOneElements) {
  if (GetParam() != "host")
    GTEST_SKIP() << "walks 8 GiB that the test maps itself: only where that is quick";
  const std::int64_t n = kBeyondTwoToTheThirtyOne;
  const SparseMemory v(static_cast<std::size_t>(n) * sizeof(float));
  const RepeatingMemory to(n);
  if (!v.get() || !to.get()) GTEST_SKIP() << "16 GiB of address space are not to be had here";
  const auto lambda = upload(std::vector<float>{3.0f});
  for (const std::int64_t i : {n - 6, n - 1}) v.get()[i] = 2.0f, to.get()[i] = 1.0f;
  kernels().add_damping(
      stream(),
      {.n = n, .v = v.get(), .lambda = lambda.get(), .d = v.get(), .l2 = 0.5f, .to = to.get()});
  for (const std::int64_t i : {n - 6, n - 1}) EXPECT_EQ(to.get()[i], 1.0f + 6.5f * 2.0f) << i;
  for (const std::int64_t i : {n - 7, n - 5, n - 2}) EXPECT_EQ(to.get()[i], 0.0f) << i;
}

TEST_P(AddDampingKernel, NothingToDo) { EXPECT_TRUE(run({}).empty()); }

CURVSEG_INSTANTIATE_TARGETS(AddDampingKernel);

}  // namespace
}  // namespace curvseg::testing
