// The same bits at any cadence of looks and on any schedule.
#include <cmath>
#include <utility>

#include "host/solvers/conjugate_gradients_case.hpp"
#include "support/random_data.hpp"
#include "support/schedules.hpp"

namespace curvseg::testing {
namespace {

class CgRepeatability : public ConjugateGradientsTest {
 protected:
  /// All that a solve gives, at one cadence of looks.
  std::vector<double> everything(const LinearMap& a, const std::vector<float>& b, int look_every,
                                 const ConjugateGradientsProblem& problem) {
    std::vector<float> x;
    const auto report = solve(
        a, b, {.max_iterations = 60, .look_every = look_every, .keep_iterates = true}, problem, x);
    std::vector<double> result = {static_cast<double>(report.iterations),
                                  static_cast<double>(report.stop), report.model, report.residual,
                                  report.rhs};
    result.insert(result.end(), report.models.begin(), report.models.end());
    for (const KeptIterate& kept : solver_->kept()) {
      const auto values = download(kept.x);
      result.push_back(kept.iteration);
      result.insert(result.end(), values.begin(), values.end());
    }
    result.insert(result.end(), x.begin(), x.end());
    return result;
  }
};

TEST_P(CgRepeatability, TheCadenceOfLooksChangesNoBit) {
  const std::size_t n = 60;
  auto spectrum = logarithmic_spectrum(n, 1e3);
  const LinearMap definite = dense(reference::with_spectrum(spectrum, 30));
  spectrum[3] = -0.01;
  const LinearMap indefinite = dense(reference::with_spectrum(spectrum, 30));
  const LinearMap broken = [&, calls = 0](ConstVectorView v, VectorView product) mutable {
    definite(v, product);
    if (++calls == 8) fill(stream_, {product.data, 1}, NAN);
  };
  const std::vector<float> b = uniform_floats(n, 31);
  const ConjugateGradientsProblem residual{.residual_tolerance = 0.05}, region{.radius = 8.0};
  const std::vector<std::pair<const LinearMap*, const ConjugateGradientsProblem*>> cases = {
      {&definite, &residual}, {&definite, &region}, {&indefinite, &region}, {&broken, &residual}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto run = [&](int look_every) {
      const LinearMap a = *cases[i].first;  // a copy: some count their calls
      return everything(a, b, look_every, *cases[i].second);
    };
    const auto first = run(1);
    EXPECT_LT(first[0], 60.0) << "case " << i << " never stops: it would show nothing";
    for (const int look_every : {0, 2, 3, 7, 60, 1000})
      EXPECT_TRUE(run(look_every) == first) << "case " << i << ", every " << look_every;
  }
}

TEST_P(CgRepeatability, EveryScheduleGivesTheSameBits) {
  const std::size_t n = emulated() ? 17'003 : 100'003;  // several blocks
  std::vector<float> elements = uniform_floats(n, 32);
  for (float& element : elements) element += 1.5f;
  const std::vector<float> b = uniform_floats(n, 33), w(n, 0.7f);
  const DeviceArray<float> weights = upload(w);
  const LinearMap a = diagonal(elements);
  expect_same_on_every_schedule(GetParam(), [&] {
    return everything(a, b, 2, {.inverse_weights = view(weights), .residual_tolerance = 1e-2});
  });
}

CURVSEG_INSTANTIATE_DEVICES(CgRepeatability);

}  // namespace
}  // namespace curvseg::testing
