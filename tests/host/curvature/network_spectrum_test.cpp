// Spectra of the Gauss-Newton matrix and the Hessian of a small network, both formed column by
// column in double.
#include <cmath>

#include "curvseg/curvature_operator.hpp"
#include "curvseg/spectrum.hpp"
#include "host/curvature/curvature_case.hpp"
#include "reference/symmetric.hpp"

namespace curvseg {
namespace {

using namespace testing;

Model small_model() {
  ModelBuilder b("small", 1);
  const int hidden = b.conv(b.input(), {.name = "a", .k = 3});
  const int pooled = b.max_pool(hidden);
  const int up = b.upsample(pooled, hidden);
  return b.build(b.conv(up, {.name = "b", .k = 3, .r = 1, .s = 1, .relu = false}));
}

/// Of rows [first, last).
double trace(const reference::Symmetric& matrix, std::size_t first, std::size_t last) {
  double sum = 0.0;
  for (std::size_t i = first; i < last; ++i) sum += matrix.at(i, i);
  return sum;
}

class NetworkSpectrum : public ::testing::TestWithParam<CurvatureMatrix> {
 protected:
  NetworkSpectrum() {
    for (const Parameter& p : small_model().parameters())
      for (std::int64_t i = 0; i < p.size; ++i)
        places_.push_back(static_cast<std::size_t>(p.offset + i));
  }

  bool hessian() const { return GetParam() == CurvatureMatrix::kHessian; }

  /// Without padding, symmetric to the last bit.
  reference::Symmetric formed() const {
    reference::Symmetric matrix(places_.size());
    const auto size = static_cast<std::size_t>(small_model().parameter_count());
    for (std::size_t j = 0; j < places_.size(); ++j) {
      std::vector<float> unit(size, 0.0f);
      unit[places_[j]] = 1.0f;
      const Doubles column = hessian() ? case_.expected_hvp(unit) : case_.expected_ggnvp(unit);
      for (std::size_t i = 0; i < places_.size(); ++i) {
        matrix.at(i, j) += 0.5 * column[places_[i]];
        matrix.at(j, i) += 0.5 * column[places_[i]];
      }
    }
    return matrix;
  }

  /// The matrix times `v`, by the kernels, without padding.
  std::vector<float> product(const std::vector<float>& v) {
    const std::vector<float> all = hessian() ? case_.hvp(v) : case_.ggnvp(v);
    std::vector<float> result;
    for (const std::size_t place : places_) result.push_back(all[place]);
    return result;
  }

  Spectrum measure(SpectrumOptions options) {
    const Stream& stream = case_.stream();
    const DeviceArray<float> mask(stream.device(), case_.theta().size);
    case_.model().mark_parameters(stream, {mask.data(), mask.size()});
    options.mask = {mask.data(), mask.size()};
    CurvatureOperator curvature(stream, {&case_.curvature()}, {.matrix = GetParam()});
    return measure_spectrum(stream, curvature, case_.theta().size, layer_ranges(case_.model()),
                            options);
  }

  CurvatureCase case_{Device::open("host"),
                      small_model(),
                      {2, 5, 4, 1},
                      3,
                      {.class_weights = {1.0f, 0.5f, 2.0f}, .label_smoothing = 0.1f}};
  std::vector<std::size_t> places_;  // of parameters
};

TEST_P(NetworkSpectrum, ProductsAreThoseOfTheFormedMatrix) {
  const auto matrix = formed();
  const std::vector<float> v = case_.direction(7);
  Doubles expected(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i)
    for (std::size_t j = 0; j < places_.size(); ++j)
      expected[i] += matrix.at(i, j) * static_cast<double>(v[places_[j]]);
  expect_close(product(v), expected);
}

TEST_P(NetworkSpectrum, AgreesWithTheFormedMatrix) {
  const auto matrix = formed();
  const auto expected = reference::eigenvalues(matrix);
  const double norm = std::max(std::fabs(expected.front()), std::fabs(expected.back()));
  const auto s = measure({.eigenvalues = 5, .steps = 42, .runs = 2, .probes = 24, .deflated = 3});
  EXPECT_EQ(s.dimension, 42);
  EXPECT_NEAR(s.norm(), norm, 1e-5 * norm);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(s.largest[i].value, expected[41 - i], 2e-5 * norm) << i;
    if (hessian()) {
      EXPECT_NEAR(s.smallest[i].value, expected[i], 2e-5 * norm) << i;
    }
  }
  EXPECT_EQ(expected.front() < -1e-3 * norm, hessian());
  EXPECT_EQ(s.share_below(1e-3 * norm) > 0.0, hessian());
  // Layers a (27 + 3) and b (9 + 3).
  const double layers[] = {trace(matrix, 0, 30), trace(matrix, 30, 42)};
  for (std::size_t b = 0; b < 2; ++b) {
    EXPECT_GT(s.parts[b].standard_error, 1e-5 * norm) << "the estimate is no estimate";
    EXPECT_NEAR(s.parts[b].trace, layers[b], 4.5 * s.parts[b].standard_error) << b;
  }
  EXPECT_NEAR(s.trace.trace, matrix.trace(), 4.5 * s.trace.standard_error);
  // All pairs that Lanczos has leave nothing to estimate.
  const auto exact = measure({.steps = 42, .runs = 1, .probes = 2, .deflated = 42});
  for (std::size_t b = 0; b < 2; ++b)
    EXPECT_NEAR(exact.parts[b].trace, layers[b], 1e-4 * matrix.trace()) << b;
}

INSTANTIATE_TEST_SUITE_P(Matrices, NetworkSpectrum,
                         ::testing::Values(CurvatureMatrix::kGaussNewton,
                                           CurvatureMatrix::kHessian),
                         [](const auto& parameter) {
                           return parameter.param == CurvatureMatrix::kHessian ? "hessian"
                                                                               : "gauss_newton";
                         });

TEST(LayerRanges, AreWeightsWithTheirBiases) {
  const auto ranges = layer_ranges(small_model());
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].name, "a");
  EXPECT_EQ(ranges[0].offset, 0);
  EXPECT_EQ(ranges[0].size, 32 + 3);
  EXPECT_EQ(ranges[0].parameters, 27 + 3);
  EXPECT_EQ(ranges[1].name, "b");
  EXPECT_EQ(ranges[1].offset, 48);
  EXPECT_EQ(ranges[1].size, 16 + 3);
  EXPECT_EQ(ranges[1].parameters, 9 + 3);
}

TEST(LayerRanges, CoverEveryModelOfTheZoo) {
  for (const std::string& name : zoo::names()) {
    const bool classifier = name.starts_with("classifier");
    const Model model = zoo::make(name, 3, 4, classifier ? 32 : 0, classifier ? 32 : 0);
    std::int64_t parameters = 0, expected = 0, end = 0;
    for (const VectorRange& range : layer_ranges(model)) {
      EXPECT_GE(range.offset, end) << name << " " << range.name;
      end = range.offset + range.size;
      parameters += range.parameters;
    }
    for (const Parameter& p : model.parameters()) expected += p.size;
    EXPECT_EQ(parameters, expected) << name;
    EXPECT_LE(end, model.parameter_count()) << name;
  }
}

}  // namespace
}  // namespace curvseg
