// Products with the Gauss-Newton matrix and the Hessian: against JᵀHJ formed explicitly in double
// and against differences of gradients, with ReLU masks and pooling winners frozen at the base
// point, and by their own properties.
#include <omp.h>

#include "curvseg/error.hpp"
#include "host/curvature/curvature_case.hpp"
#include "host/nn/random_graph.hpp"

namespace curvseg {
namespace {

using namespace testing;
using Case = CurvatureCase;

void expect_is_explicit_product(Case& c, unsigned seed) {
  const std::vector<float> v = c.direction(seed);
  expect_close(c.ggnvp(v), c.expected_ggnvp(v));
}

void expect_is_difference_of_gradients(Case& c, unsigned seed) {
  const std::vector<float> v = c.direction(seed);
  expect_close(c.hvp(v), c.expected_hvp(v));
}

/// With its 3x3 convolutions by minimal filtering in every pass.
Model in_tiles(const Model& model) { return model.with_convolutions(ConvAlgorithm::kWinograd); }

TEST(GaussNewton, IsTheExplicitProduct) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    const Device device = Device::open(name);
    Case unet(device, zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1}, 1);
    expect_is_explicit_product(unet, 2);
    Case weighted(device, zoo::make("unet(width=2, depth=1, transpose=false)", 2, 2), {1, 6, 5, 2},
                  3, {.class_weights = {0.5f, 2.0f}, .label_smoothing = 0.1f});
    expect_is_explicit_product(weighted, 4);
    Case filtered(device, in_tiles(zoo::make("unet(width=2, depth=1)", 1, 3)), {2, 5, 6, 1}, 1);
    expect_is_explicit_product(filtered, 2);
    Case squares(device, zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1}, 1,
                 {.kind = LossKind::kMeanSquaredError});
    expect_is_explicit_product(squares, 2);
  }
}

TEST(GaussNewton, IsTheExplicitProductForOtherModels) {
  const Device device = Device::open("host");
  Case fcn(device, zoo::make("fcn(width=1)", 1, 2), {1, 8, 9, 1}, 5);
  expect_is_explicit_product(fcn, 6);
  Case segnet(device, zoo::make("segnet(width=2, depth=1)", 1, 3), {1, 6, 7, 1}, 7);
  expect_is_explicit_product(segnet, 8);
  ModelBuilder b("classifier", 1, 6, 6);
  int x = b.conv(b.input(), {.k = 3});
  x = b.average_pool(x);
  const Model model = b.build(b.dense(x, 4, false));
  Case classifier(device, model, {3, 6, 6, 1}, 9);
  expect_is_explicit_product(classifier, 10);
}

TEST(GaussNewton, IsSymmetricAndPositive) {
  Case c(Device::open("host"), zoo::make("unet(width=8, depth=2)", 3, 4), {2, 21, 18, 3}, 11);
  for (unsigned seed = 0; seed < 5; ++seed) {
    const std::vector<float> v = c.direction(100 + seed), w = c.direction(200 + seed);
    const std::vector<float> gv = c.ggnvp(v), gw = c.ggnvp(w);
    const double vgw = inner_product(v, gw), wgv = inner_product(w, gv);
    const double vgv = inner_product(v, gv), wgw = inner_product(w, gw);
    EXPECT_GT(vgv, 0.0);
    EXPECT_GT(wgw, 0.0);
    EXPECT_TRUE(std::fabs(vgw - wgv) <= 1e-5 * std::sqrt(vgv * wgw)) << vgw << " " << wgv;
  }
}

TEST(GaussNewton, ProductsAndGradientsDoNotDisturbEachOther) {
  const Device device = Device::open("host");
  Case c(device, zoo::make("unet(width=4, depth=2)", 1, 2), {2, 16, 20, 1}, 21);
  const std::vector<float> v = c.direction(1), w = c.direction(2);
  const std::vector<float> grad = c.gradient(), gv = c.ggnvp(v);
  c.ggnvp(w);
  EXPECT_EQ(c.gradient(), grad);
  EXPECT_EQ(c.ggnvp(v), gv);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  EXPECT_EQ(c.ggnvp(v), gv) << "one thread";
  omp_set_num_threads(threads);
}

TEST(GaussNewton, LinearModelHasGaussNewtonForHessian) {
  // Logits linear in theta: G is the Hessian, the derivative of the gradient.
  ModelBuilder b("linear", 2);
  const Model model = b.build(b.conv(b.input(), {.k = 3, .relu = false}));
  const Shape input{1, 7, 6, 2};
  Case c(Device::open("host"), model, input, 31);
  const std::vector<float> v = c.direction(3);
  expect_is_explicit_product(c, 3);
  expect_close(c.ggnvp(v), c.expected_hvp(v));
  EXPECT_GT(inner_product(v, c.ggnvp(v)), 0.0);
}

TEST(Hessian, IsTheDifferenceOfGradients) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    const Device device = Device::open(name);
    Case unet(device, zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1}, 1);
    expect_is_difference_of_gradients(unet, 2);
    Case weighted(device, zoo::make("unet(width=2, depth=1, transpose=false)", 2, 2), {1, 6, 5, 2},
                  3, {.class_weights = {0.5f, 2.0f}, .label_smoothing = 0.1f});
    expect_is_difference_of_gradients(weighted, 4);
    Case filtered(device, in_tiles(zoo::make("unet(width=2, depth=1)", 1, 3)), {2, 5, 6, 1}, 1);
    expect_is_difference_of_gradients(filtered, 2);
    Case squares(device, zoo::make("unet(width=2, depth=1)", 1, 3), {2, 5, 6, 1}, 1,
                 {.kind = LossKind::kMeanSquaredError});
    expect_is_difference_of_gradients(squares, 2);
  }
}

TEST(Hessian, IsTheDifferenceOfGradientsForOtherModels) {
  const Device device = Device::open("host");
  const std::pair<const char*, Shape> models[] = {{"unet(width=4, depth=2)", {2, 13, 10, 2}},
                                                  {"fcn(width=2)", {1, 17, 12, 1}},
                                                  {"segnet(width=3, depth=2)", {1, 9, 7, 1}},
                                                  {"classifier2", {2, 8, 8, 1}}};
  for (const auto& [name, input] : models) {
    SCOPED_TRACE(name);
    Case c(device, zoo::make(name, input.c, 3, input.h, input.w), input, 5);
    expect_is_difference_of_gradients(c, 6);
  }
}

TEST(Hessian, IsTheDifferenceOfGradientsForRandomGraphs) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const Model model = RandomGraph(seed, false).build(12);
    if (model.classes() < 2) continue;
    Case c(device, model, {1, RandomGraph::kHeight, RandomGraph::kWidth, 2}, seed);
    expect_is_difference_of_gradients(c, seed);
  }
}

void expect_hessian_is_symmetric(Case& c) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    const std::vector<float> v = c.direction(100 + seed), w = c.direction(200 + seed);
    const std::vector<float> hv = c.hvp(v), hw = c.hvp(w);
    const double vhw = inner_product(v, hw), whv = inner_product(w, hv);
    const double size = std::sqrt(inner_product(hv, hv) * inner_product(w, w));
    EXPECT_TRUE(std::fabs(vhw - whv) <= 1e-5 * size) << vhw << " " << whv;
  }
}

TEST(Hessian, IsSymmetric) {
  const Model model = zoo::make("unet(width=8, depth=2)", 3, 4);
  for (const Model& computed : {model, in_tiles(model)}) {
    Case c(Device::open("host"), computed, {2, 21, 18, 3}, 11);
    expect_hessian_is_symmetric(c);
  }
}

/// At the size of a network that is used: float32 kernels against passes in double precision.
TEST(Hessian, OfTheDefaultUnetIsThatOfDoublePrecision) {
  const Model model = zoo::unet(1, 2, {});
  for (const LossOptions& loss : {LossOptions{}, LossOptions{.class_weights = {0.5f, 2.0f}}}) {
    Case c(Device::open("host"), model, {1, 32, 40, 1}, 5, loss);
    const std::vector<float> v = c.direction(6);
    expect_close(c.gradient(), c.transposed_jacobian_product(c.logit_gradient(c.logits())));
    expect_close(c.ggnvp(v), c.expected_ggnvp_by_passes(v));
    expect_close(c.hvp(v), c.expected_hvp(v));
  }
}

TEST(Hessian, RefusesImagesThatABatchDoesNotHave) {
  Case c(Device::open("host"), zoo::make("unet(width=2, depth=1)", 1, 2), {3, 6, 5, 1}, 1);
  const std::vector<float> v = c.direction(1);
  const std::vector<int> none, beyond = {1, 3}, twice = {1, 1};
  for (const ImageSubset& images : {ImageSubset(none), ImageSubset(beyond), ImageSubset(twice),
                                    ImageSubset(4), ImageSubset(-1)}) {
    const auto refuses = [&](auto call) { EXPECT_THROW(call(), std::invalid_argument); };
    refuses([&] {
      c.product_of(v, [&](BatchLoss& loss, auto from, auto to) {
        loss.ggnvp(from, to, {.images = images});
      });
    });
    refuses([&] {
      c.product_of(
          v, [&](BatchLoss& loss, auto from, auto to) { loss.hvp(from, to, {.images = images}); });
    });
    DeviceArray<float> total(Device::open("host"), 1);
    refuses([&] {
      c.curvature().write_denominator(c.curvature().labels(), images, false, total.data());
    });
  }
}

TEST(Hessian, IsGaussNewtonForALinearModel) {
  ModelBuilder b("linear", 2);
  const Model model = b.build(b.conv(b.input(), {.k = 3, .relu = false}));
  Case c(Device::open("host"), model, {1, 7, 6, 2}, 31);
  const std::vector<float> v = c.direction(3);
  const std::vector<float> gv = c.ggnvp(v);
  EXPECT_EQ(c.hvp(v), gv);
  EXPECT_GT(inner_product(v, gv), 0.0);
}

TEST(Hessian, ProductsAndGradientsDoNotDisturbEachOther) {
  const Device device = Device::open("host");
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    Case c(device, RandomGraph(seed, false).build(14),
           {1, RandomGraph::kHeight, RandomGraph::kWidth, 2}, seed);
    const std::vector<float> v = c.direction(1), w = c.direction(2);
    const std::vector<float> grad = c.gradient(), gv = c.ggnvp(v), hv = c.hvp(v);
    EXPECT_EQ(c.gradient(), grad);
    c.hvp(w);
    EXPECT_EQ(c.ggnvp(v), gv);
    c.ggnvp(w);
    EXPECT_EQ(c.hvp(v), hv);
    EXPECT_EQ(c.ggnvp_of_its_own(v), gv);
  }
}

TEST(Hessian, LowMemoryGivesTheSameProducts) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    const auto product = [&](CurvatureKind kind) {
      Case c(Device::open(name), zoo::make("unet(width=3, depth=1)", 1, 3), {3, 5, 6, 1}, 1,
             {.class_weights = {0.5f, 2.0f, 1.0f}}, 2, kind);
      return c.hvp(c.direction(2));
    };
    EXPECT_EQ(product(CurvatureKind::kLowMemoryHessian), product(CurvatureKind::kHessian));
  }
}

/// A product after others, of other points, images and denominators, is that of a fresh loss.
TEST(Hessian, KeepsNoGradientsOfAnotherPoint) {
  const Device device = Device::open("host");
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{3, 6, 5, 1};
  Case used(device, model, input, 1), fresh(device, model, input, 1);
  const std::vector<float> v = used.direction(2);
  const auto hvp = [&](const ProductOptions& options) {
    return [options](BatchLoss& loss, auto from, auto to) { loss.hvp(from, to, options); };
  };
  DeviceArray<float> denominator(device, 1);
  const auto set_denominator = [&](float value) {
    denominator.upload(used.stream(), &value, 1);
    used.stream().synchronise();
  };
  set_denominator(3.0f);
  const ProductOptions foreign{.denominator = denominator.data()};
  const std::vector<float> whole = used.hvp(v);
  const std::vector<float> first = used.product_of(v, hvp({.images = 2}));
  EXPECT_EQ(used.hvp(v), whole);
  const DeviceArray<float> of_two(device, 1);
  used.curvature().write_denominator(used.curvature().labels(), 2, false, of_two.data());
  EXPECT_EQ(used.product_of(v, hvp({.images = 2, .denominator = of_two.data()})), first);
  const std::vector<float> third = used.product_of(v, hvp(foreign));
  EXPECT_EQ(used.hvp(v), whole);
  set_denominator(6.0f);  // behind the back of the loss
  const std::vector<float> sixth = used.product_of(v, hvp(foreign));
  for (std::size_t i = 0; i < v.size(); ++i)
    ASSERT_TRUE(std::fabs(sixth[i] - 0.5f * third[i]) <= 1e-5f * std::fabs(third[i]) + 1e-6f) << i;
  EXPECT_EQ(fresh.product_of(v, hvp({.images = 2})), first);
  EXPECT_NE(first, whole);

  // Another theta.
  Case other(device, model, input, 9);
  BatchLoss& loss = used.curvature();
  const ConstTensorView x = loss.x();
  const std::int32_t* labels = loss.labels();
  const auto at = [&](ConstVectorView theta) {
    loss.linearise(theta, x, labels);
    return used.hvp(v);
  };
  const std::vector<float> moved = at(other.theta());
  EXPECT_NE(moved, whole);
  EXPECT_EQ(at(used.theta()), whole);
}

/// d₀ᵀGd₀, d₀ᵀGd₁ and d₁ᵀGd₁ of the first images of a batch.
void expect_forms_of_the_first_images(const std::string& device_name, const LossOptions& loss) {
  SCOPED_TRACE(device_name);
  const Device device = Device::open(device_name);
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape batch{3, 6, 5, 1}, part{2, 6, 5, 1};
  const NetworkData data = real_data(model, batch, 41);
  const Labels labels = random_labels(batch, 41);
  DeviceArray<float> theta(device, model.parameter_count()), product(device, theta.size());
  DeviceArray<float> d0(device, theta.size()), d1(device, theta.size()), form(device, 3);
  DeviceArray<std::int32_t> device_labels(device, batch.pixels());
  std::vector<float> v0 = uniform_floats(data.theta.size(), 42), v1 = v0;
  for (std::size_t i = 0; i < v1.size(); ++i) v1[i] = v0[i] + data.theta[i];
  clear_padding(model, v0);
  clear_padding(model, v1);
  theta.upload(stream, data.theta.data(), theta.size());
  d0.upload(stream, v0.data(), d0.size());
  d1.upload(stream, v1.data(), d1.size());
  device_labels.upload(stream, labels.data(), batch.pixels());
  DeviceArray<float> images(device, batch.elements());
  images.upload(stream, data.x.data(), batch.elements());

  BatchLoss of_part(stream, model, part, loss);
  of_part.linearise({theta.data(), theta.size()}, ConstTensorView{images.data(), part},
                    device_labels.data());
  const auto product_with = [&](const DeviceArray<float>& v) {
    of_part.ggnvp({v.data(), v.size()}, {product.data(), product.size()});
    return product.to_host(stream);
  };
  const std::vector<float> g0 = product_with(d0), g1 = product_with(d1);
  const double expected[] = {inner_product(v0, g0), inner_product(v0, g1), inner_product(v1, g1)};

  BatchLoss of_batch(stream, model, batch, loss);
  of_batch.linearise({theta.data(), theta.size()}, ConstTensorView{images.data(), batch},
                     device_labels.data());
  const ConstVectorView directions[] = {{d0.data(), d0.size()}, {d1.data(), d1.size()}};
  of_batch.quadratic_form(directions, part.n, form.data());
  const std::vector<float> actual = form.to_host(stream);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(std::fabs(actual[i] - expected[i]) <= 1e-5 * std::fabs(expected[i]))
        << actual[i] << ", expected " << expected[i];
  of_batch.quadratic_form({directions, 1}, part.n, form.data());
  EXPECT_EQ(form.to_host(stream)[0], actual[0]);
}

TEST(QuadraticForm, IsThatOfTheFirstImages) {
  for (const std::string& name : cheap_devices()) {
    expect_forms_of_the_first_images(name, {});
    expect_forms_of_the_first_images(name, {.class_weights = {0.5f, 2.0f}});
    expect_forms_of_the_first_images(name, {.kind = LossKind::kMeanSquaredError});
  }
}

TEST(QuadraticForm, RefusesWhatItCannotDo) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{2, 4, 4, 1};
  DeviceArray<float> v(device, model.parameter_count()), form(device, 3);
  fill(stream, {v.data(), v.size()}, 0.0f);
  const Tensor x(device, input);
  fill(stream, {x.data(), input.elements()}, 0.0f);
  DeviceArray<std::int32_t> labels(device, 32);
  const std::vector<std::int32_t> zeros(32, 0);
  labels.upload(stream, zeros.data(), 32);
  const ConstVectorView view{v.data(), v.size()};
  const ConstVectorView directions[] = {view, view, view};
  BatchLoss curvature(stream, model, input);
  EXPECT_THROW(curvature.quadratic_form({directions, 1}, 2, form.data()), std::logic_error);
  curvature.linearise(view, x, labels.data());
  EXPECT_THROW(curvature.quadratic_form({directions, 3}, 2, form.data()), std::invalid_argument);
  EXPECT_THROW(curvature.quadratic_form({directions, 0}, 2, form.data()), std::invalid_argument);
  EXPECT_THROW(curvature.quadratic_form({directions, 1}, 3, form.data()), std::invalid_argument);
  BatchLoss gradient_only(stream, model, input, {}, CurvatureKind::kNone);
  gradient_only.linearise(view, x, labels.data());
  EXPECT_THROW(gradient_only.quadratic_form({directions, 1}, 2, form.data()), std::logic_error);
}

TEST(Hessian, NeedsAnOperatorMadeForIt) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const Shape input{1, 4, 4, 1};
  BatchLoss curvature(stream, model, input);
  DeviceArray<float> v(device, model.parameter_count());
  fill(stream, {v.data(), v.size()}, 0.0f);
  Tensor x(device, input);
  fill(stream, {x.data(), input.elements()}, 0.0f);
  DeviceArray<std::int32_t> labels(device, 16);
  const std::vector<std::int32_t> zeros(16, 0);
  labels.upload(stream, zeros.data(), 16);
  curvature.linearise({v.data(), v.size()}, x, labels.data());
  EXPECT_THROW(curvature.hvp({v.data(), v.size()}, {v.data(), v.size()}), std::logic_error);
}

TEST(GaussNewton, RefusesWhatItCannotDo) {
  const Device device = Device::open("host");
  const Stream stream(device);
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  EXPECT_THROW(BatchLoss(stream, model, {1, 4, 4, 1}, {.class_weights = {1.0f}}), InputError);
  EXPECT_THROW(BatchLoss(stream, model, {1, 4, 4, 1}, {.label_smoothing = 1.5f}), InputError);
  EXPECT_THROW(BatchLoss(stream, model, {1, 4, 4, 3}), InputError);
  BatchLoss curvature(stream, model, {1, 4, 4, 1});
  DeviceArray<float> v(device, model.parameter_count());
  EXPECT_THROW(curvature.gradient({v.data(), v.size()}), std::logic_error);
  EXPECT_THROW(curvature.ggnvp({v.data(), v.size()}, {v.data(), v.size()}), std::logic_error);
}

}  // namespace
}  // namespace curvseg
