// The kernels around cuSOLVER's calls, which the cuda target alone launches, under the checks of
// the emulated one.
#include <cmath>
#include <limits>

#include "emulated_fixture.hpp"
#include "library_steps.hpp"
#include "support/random_data.hpp"

namespace curvseg {
namespace {

using namespace target_emulated;
using testing::uniform_floats;

constexpr int kSize = 37, kStride = 41;
constexpr std::size_t kN = kSize, kLd = kStride;

class EmulatedLibrarySteps : public EmulatedTest {
 protected:
  /// Column-major scratch.
  std::vector<float> load(const std::vector<float>& a, unsigned expected_defects) {
    unsigned* defects = upload<unsigned>({0});
    float* to = allocate<float>(kN * kN);
    load_square(nullptr, kSize, upload(a), kStride, defects, to);
    const auto result = download(to, kN * kN);
    EXPECT_EQ(download(defects, 1)[0], expected_defects);
    return result;
  }

  StoredSquare stored(const std::vector<float>& scratch, unsigned defects, int first, int second) {
    StoredSquare s{};
    s.n = kSize;
    s.scratch = upload(scratch);
    s.defects = upload<unsigned>({defects});
    s.info = upload<int>({first, second});
    s.to = upload(std::vector<float>(kN * kLd, 7.0f));
    s.ld = kStride;
    s.status = upload<int>({-1});
    return s;
  }
};

TEST_F(EmulatedLibrarySteps, LoadingTransposesOrMakesTheIdentity) {
  auto a = uniform_floats(kN * kLd, 1);
  a[kN] = NAN;  // in a gap
  const auto scratch = load(a, 0);
  for (std::size_t i = 0; i < kN; ++i)
    for (std::size_t j = 0; j < kN; ++j) EXPECT_EQ(scratch[i + j * kN], a[i * kLd + j]);
  a[3 * kLd + 36] = NAN;
  a[36 * kLd + 3] = -std::numeric_limits<float>::infinity();
  const auto identity = load(a, 2);
  for (std::size_t i = 0; i < kN * kN; ++i) EXPECT_EQ(identity[i], i % (kN + 1) == 0 ? 1.0f : 0.0f);
}

TEST_F(EmulatedLibrarySteps, DampingAddsToTheDiagonal) {
  for (const int n : {1, 37, 600}) {  // below and above a block's threads
    const auto size = static_cast<std::size_t>(n);
    std::vector<float> a(size * size, 5.0f);
    for (std::size_t i = 0; i < size; ++i) a[i * (size + 1)] = static_cast<float>(i % 3);
    double trace = 0.0;
    for (std::size_t i = 0; i < size; ++i) trace += a[i * (size + 1)];
    const auto shift = static_cast<float>(0.25 + 0.5f * (trace / n));
    unsigned* defects = upload<unsigned>({0});
    for (const float* damping : {static_cast<float*>(nullptr), upload<float>({0.5f, 0.25f})}) {
      float* there = upload(a);
      damp_square(nullptr, n, there, damping ? 9.0f : 0.5f, damping ? 9.0f : 0.25f, damping,
                  defects);
      const auto result = download(there, size * size);
      for (std::size_t i = 0; i < size * size; ++i)
        ASSERT_EQ(result[i], i % (size + 1) == 0 ? a[i] + shift : 5.0f) << i;
    }
    EXPECT_EQ(download(defects, 1)[0], 0u);
    float* there = upload(a);
    damp_square(nullptr, n, there, 0.0f, std::numeric_limits<float>::infinity(), nullptr, defects);
    EXPECT_EQ(download(there, size * size), a);
    EXPECT_EQ(download(defects, 1)[0], 1u);
  }
}

TEST_F(EmulatedLibrarySteps, StoringMirrorsSignsAndValues) {
  const auto scratch = uniform_floats(kN * kN, 2);
  StoredSquare s = stored(scratch, 0, 0, 0);
  const auto diagonal = [&] {
    float* to = allocate<float>(kN);
    take_diagonal(nullptr, kSize, s.scratch, to);
    return to;
  }();
  const auto values = uniform_floats(kN, 3);
  s.signs = diagonal;
  s.values = upload(values);
  s.to_values = allocate<float>(kN);
  store_square(nullptr, s);
  auto result = download(s.to, kN * kLd);
  for (std::size_t i = 0; i < kN; ++i)
    for (std::size_t j = 0; j < kLd; ++j) {
      const float sign = j < kN && scratch[j * (kN + 1)] < 0.0f ? -1.0f : 1.0f;
      ASSERT_EQ(result[i * kLd + j], j < kN ? sign * scratch[i + j * kN] : 7.0f);
    }
  EXPECT_EQ(download(s.to_values, kN), values);
  EXPECT_EQ(download(s.status, 1)[0], 0);

  s.signs = nullptr;
  s.lower = true;
  s.status = nullptr;
  store_square(nullptr, s);
  result = download(s.to, kN * kLd);
  for (std::size_t i = 0; i < kN; ++i)
    for (std::size_t j = 0; j < kN; ++j)
      ASSERT_EQ(result[i * kLd + j], scratch[std::max(i, j) + std::min(i, j) * kN]);
}

TEST_F(EmulatedLibrarySteps, AfterAFailureNothingIsStored) {
  struct Failure {
    unsigned defects;
    int first, second;
  };
  for (const Failure& f : {Failure{1, 0, 0}, Failure{0, 3, 0}, Failure{0, 0, 2}}) {
    StoredSquare s = stored(uniform_floats(kN * kN, 2), f.defects, f.first, f.second);
    s.values = upload(uniform_floats(kN, 3));
    s.to_values = upload(std::vector<float>(kN, 7.0f));
    store_square(nullptr, s);
    EXPECT_EQ(download(s.to, kN * kLd), std::vector<float>(kN * kLd, 7.0f));
    EXPECT_EQ(download(s.to_values, kN), std::vector<float>(kN, 7.0f));
    EXPECT_EQ(download(s.status, 1)[0], 1);
  }
}

}  // namespace
}  // namespace curvseg
