// Σ_n grad_n²: against the gradients of single images in double precision.
#include <omp.h>

#include "host/curvature/curvature_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;

/// The sum of squares of d⟨dy_n, output⟩/dtheta over the images n, from a plan that has run it
/// `times`.
std::vector<float> run_squares(const Device& device, const Model& model, const Shape& input,
                               const NetworkData& data, PlanMode mode) {
  const Stream stream(device);
  Plan plan(model, device, input, mode);
  DeviceArray<float> theta(device, model.parameter_count()), squares(device, theta.size());
  theta.upload(stream, data.theta.data(), theta.size());
  const std::vector<float> nothing(data.theta.size(), std::numeric_limits<float>::quiet_NaN());
  squares.upload(stream, nothing.data(), squares.size());
  Tensor x(device, input), dy(device, plan.output_shape());
  x.upload(stream, data.x);
  dy.upload(stream, data.dy);
  plan.forward(stream, {theta.data(), theta.size()}, x);
  copy_tensor(stream, dy.view(), 1.0f, false, plan.output_gradient());
  plan.squared_gradients(stream, {theta.data(), theta.size()}, x, false,
                         {squares.data(), squares.size()});
  return squares.to_host(stream);
}

struct Expected {
  Doubles value, bound;
  double largest = 0.0;
};

/// `dy` of image n alone gives grad_n.
Expected expected_squares(const Model& model, const Shape& input, const NetworkData& data) {
  Expected result{Doubles(data.theta.size()), Doubles(data.theta.size())};
  const std::size_t of_image = data.dy.size() / static_cast<std::size_t>(input.n);
  for (std::size_t n = 0; n < static_cast<std::size_t>(input.n); ++n) {
    NetworkData alone = data;
    for (std::size_t i = 0; i < data.dy.size(); ++i)
      if (i / of_image != n) alone.dy[i] = 0.0f;
    const ReferenceResult one = run_reference(model, input, alone);
    for (std::size_t i = 0; i < result.value.size(); ++i) {
      const double g = one.grad.value[i], error = one.grad.error[i];
      result.value[i] += g * g;
      result.bound[i] += (2.0 * std::fabs(g) + error) * error + 1e-6 * g * g;
    }
    result.largest = std::max(result.largest, one.largest);
  }
  for (const double value : result.value) result.largest = std::max(result.largest, value);
  return result;
}

TEST(SquaredGradients, OfSingleImagesAreExactForWholeNumbers) {
  const std::pair<const char*, Shape> models[] = {{"unet(width=3, depth=2)", {3, 10, 13, 2}},
                                                  {"classifier2", {4, 8, 8, 1}}};
  for (const char* name : {"host", "host_baseline", "emulated", "cuda"}) {
    if (!has_device(name)) continue;
    for (const auto& [model_name, input] : models) {
      SCOPED_TRACE(std::string(name) + " " + model_name);
      const Model model = zoo::make(model_name, input.c, 3, input.h, input.w);
      const NetworkData data = whole_data(model, input, 5, 3);
      const Expected expected = expected_squares(model, input, data);
      ASSERT_LT(expected.largest, 1 << 24) << "these numbers are not exact in float32";
      for (const PlanMode mode : {PlanMode::kTraining, PlanMode::kHessian}) {
        const std::vector<float> actual = run_squares(Device::open(name), model, input, data, mode);
        EXPECT_EQ(to_double(actual), expected.value);
      }
      expect_most_layers_take_part(model, expected.value);
    }
  }
}

TEST(SquaredGradients, OfSingleImagesAreExactForRandomGraphs) {
  const Device device = Device::open("host");
  int compared = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Shape input{3, RandomGraph::kHeight, RandomGraph::kWidth, RandomGraph::kChannels};
    RandomGraph graph(seed, true);
    const Model model = graph.build(10);
    const NetworkData data = whole_data(model, input, seed, 2);
    const Expected expected = expected_squares(model, input, data);
    // Squares have the square of the finest fraction.
    if (expected.largest / (graph.unit() * graph.unit()) >= 1 << 24) continue;
    EXPECT_EQ(to_double(run_squares(device, model, input, data, PlanMode::kTraining)),
              expected.value);
    ++compared;
  }
  EXPECT_GT(compared, 30);
}

TEST(SquaredGradients, OfSingleImagesStayWithinTheirBounds) {
  const std::pair<const char*, Shape> models[] = {{"unet(width=4, depth=2)", {3, 13, 18, 2}},
                                                  {"fcn(width=3)", {2, 17, 12, 1}},
                                                  {"classifier3", {5, 16, 8, 3}}};
  for (const auto& [name, input] : models) {
    SCOPED_TRACE(name);
    const Model model = zoo::make(name, input.c, 3, input.h, input.w);
    const NetworkData data = real_data(model, input, 9);
    const Expected expected = expected_squares(model, input, data);
    const std::vector<float> actual =
        run_squares(Device::open("host"), model, input, data, PlanMode::kCurvature);
    expect_within(actual, expected.value, expected.bound);
    double size = 0.0, bound = 0.0;
    for (std::size_t i = 0; i < actual.size(); ++i)
      size += expected.value[i], bound += expected.bound[i];
    EXPECT_LT(bound, 0.2 * size) << "bounds that would forgive anything";
  }
}

/// grad_n over the denominator of the whole batch, from the loss's gradient of that image's pixels.
Doubles expected_of_loss(const CurvatureCase& c, int images) {
  const Doubles dlogits = c.logit_gradient(c.logits());
  const std::size_t of_image = dlogits.size() / static_cast<std::size_t>(images);
  Doubles squares;
  for (std::size_t n = 0; n < static_cast<std::size_t>(images); ++n) {
    Doubles alone(dlogits.size());
    std::copy_n(dlogits.begin() + static_cast<std::ptrdiff_t>(n * of_image), of_image,
                alone.begin() + static_cast<std::ptrdiff_t>(n * of_image));
    const Doubles grad = c.transposed_jacobian_product(alone);
    squares.resize(grad.size());
    for (std::size_t i = 0; i < grad.size(); ++i) squares[i] += grad[i] * grad[i];
  }
  return squares;
}

TEST(SquaredGradients, AreSharesOfTheMeanOverTheBatch) {
  for (const std::string& name : cheap_devices()) {
    for (const LossOptions& loss :
         {LossOptions{}, LossOptions{.class_weights = {0.5f, 2.0f, 1.0f}, .label_smoothing = 0.1f},
          LossOptions{.kind = LossKind::kMeanSquaredError}}) {
      SCOPED_TRACE(name);
      CurvatureCase c(Device::open(name), zoo::make("unet(width=2, depth=1)", 1, 3), {3, 5, 6, 1},
                      1, loss);
      const auto squares = [](BatchLoss& batch, VectorView to) { batch.squared_gradients(to); };
      const std::vector<float> actual = c.result_of(squares);
      expect_close(actual, expected_of_loss(c, 3));
      const std::vector<float> grad = c.gradient();  // and neither disturbs the other
      EXPECT_EQ(c.result_of(squares), actual);
      EXPECT_EQ(c.gradient(), grad);
      const std::vector<float> twice = c.result_of([](BatchLoss& batch, VectorView to) {
        batch.squared_gradients(to);
        batch.squared_gradients(to, /*accumulate=*/true);
      });
      for (std::size_t i = 0; i < twice.size(); ++i)
        ASSERT_TRUE(std::fabs(twice[i] - 2.0f * actual[i]) <= 1e-6f * actual[i]) << i;
    }
  }
}

TEST(SquaredGradients, TheSameBitsAtAnyThreadCount) {
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=8, depth=2)", 3, 4), {5, 21, 18, 3},
                  11);
  const auto squares = [](BatchLoss& batch, VectorView to) { batch.squared_gradients(to); };
  const std::vector<float> first = c.result_of(squares);
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    EXPECT_EQ(c.result_of(squares), first) << count << " threads";
  }
  omp_set_num_threads(threads);
}

TEST(SquaredGradients, ComeOnceAfterALineariseForTraining) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{2, 4, 4, 1};
  DeviceArray<float> theta(device, model.parameter_count()), to(device, theta.size());
  fill(stream, {theta.data(), theta.size()}, 0.0f);
  const Tensor x(device, input);
  fill(stream, {x.data(), input.elements()}, 0.0f);
  DeviceArray<std::int32_t> labels(device, 32);
  const std::vector<std::int32_t> zeros(32, 0);
  labels.upload(stream, zeros.data(), 32);
  BatchLoss loss(stream, model, input, {}, CurvatureKind::kNone);
  const VectorView squares{to.data(), to.size()};
  EXPECT_THROW(loss.squared_gradients(squares), std::logic_error);
  loss.linearise({theta.data(), theta.size()}, x, labels.data());
  loss.squared_gradients(squares);
  EXPECT_THROW(loss.squared_gradients(squares), std::logic_error);
  EXPECT_THROW(loss.gradient(squares), std::logic_error);
}

}  // namespace
}  // namespace curvseg
