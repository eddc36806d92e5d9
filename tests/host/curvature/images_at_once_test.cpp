// How many images a loss takes at once changes its memory, not what it computes.
#include <omp.h>

#include "host/curvature/curvature_case.hpp"
#include "host/nn/message_of.hpp"

namespace curvseg {
namespace {

using namespace testing;

TEST(BatchLossParts, GiveTheSameWithinRounding) {
  for (const auto& [name, kind] : {std::pair("host", CurvatureKind::kHessian),
                                   std::pair("host", CurvatureKind::kLowMemoryHessian),
                                   std::pair("emulated", CurvatureKind::kHessian),
                                   std::pair("cuda", CurvatureKind::kHessian)}) {
    if (!has_device(name)) continue;
    SCOPED_TRACE(name);
    const Device device = Device::open(name);
    const Model model = zoo::make("unet(width=2, depth=1)", 1, 3);
    const Shape input{3, 5, 6, 1};
    const LossOptions loss{.class_weights = {0.5f, 2.0f, 1.0f}, .label_smoothing = 0.1f};
    CurvatureCase whole(device, model, input, 1, loss, 3, kind);
    const std::vector<float> v = whole.direction(2);
    const auto squares = [](BatchLoss& batch, VectorView to) { batch.squared_gradients(to); };
    const Doubles grad = to_double(whole.gradient()), gv = to_double(whole.ggnvp(v)),
                  hv = to_double(whole.hvp(v)), squared = to_double(whole.result_of(squares));
    for (const int images : {1, 2}) {
      SCOPED_TRACE(images);
      CurvatureCase parts(device, model, input, 1, loss, images, kind);
      EXPECT_EQ(parts.curvature().images_at_once(), images);
      expect_close(parts.gradient(), grad);
      expect_close(parts.ggnvp(v), gv);
      expect_close(parts.hvp(v), hv);
      expect_close(parts.result_of(squares), squared);
    }
  }
}

/// A loss without curvature, which has a forward pass for each part and keeps nothing of it.
class ForgetfulParts : public ::testing::Test {
 protected:
  static CurvatureCase loss(const Device& device, int images) {
    return {device,
            zoo::make("unet(width=2, depth=1)", 1, 3),
            {5, 5, 6, 1},
            1,
            {.class_weights = {0.5f, 2.0f, 1.0f}, .label_smoothing = 0.1f},
            images,
            CurvatureKind::kNone};
  }
  static std::vector<float> gradient(CurvatureCase& c) {
    c.linearise();
    return c.gradient();
  }
  static std::vector<float> squares(CurvatureCase& c) {
    c.linearise();
    return c.result_of([](BatchLoss& batch, VectorView to) { batch.squared_gradients(to); });
  }
  static float value(CurvatureCase& c) {
    c.linearise();
    c.curvature().value();
    return values_of(c.stream(), {c.curvature().loss(), 1})[0];
  }
};

TEST_F(ForgetfulParts, GiveTheSameWithinRounding) {
  for (const char* name : {"host", "emulated", "cuda"}) {
    if (!has_device(name)) continue;
    SCOPED_TRACE(name);
    const Device device = Device::open(name);
    CurvatureCase whole = loss(device, 0);
    const float value_of_all = value(whole);
    for (const auto& [images, at_once] : {std::pair(1, 1), {2, 2}, {3, 3}, {4, 3}, {5, 5}}) {
      SCOPED_TRACE(images);
      CurvatureCase parts = loss(device, images);
      EXPECT_EQ(parts.curvature().images_at_once(), at_once);
      EXPECT_EQ(parts.curvature().input_shape().n, 5);
      EXPECT_NEAR(value(parts), value_of_all, 1e-6f * value_of_all);
      const std::vector<float> grad = gradient(parts);
      expect_close(grad, to_double(gradient(whole)));
      if (images == 5) continue;
      EXPECT_EQ(parts.gradient(), grad) << "as often as wanted";
      parts.curvature().value();
      EXPECT_EQ(parts.gradient(), grad);
      const std::vector<float> twice = parts.result_of([](BatchLoss& batch, VectorView to) {
        batch.gradient(to);
        batch.gradient(to, /*accumulate=*/true);
      });
      for (std::size_t i = 0; i < grad.size(); ++i)
        ASSERT_NEAR(twice[i], 2.0f * grad[i], 1e-5f + 1e-5f * std::fabs(grad[i]));
      expect_close(squares(parts), to_double(squares(whole)));
    }
  }
}

TEST_F(ForgetfulParts, TakeTheMemoryOfFewImages) {
  const Stream stream(Device::open("host"));
  const Model model = zoo::unet(1, 2);
  const auto bytes = [&](int batch, int images) {
    return static_cast<double>(
        BatchLoss(stream, model, {batch, 96, 96, 1}, {}, CurvatureKind::kNone, images)
            .memory_bytes());
  };
  const double two = bytes(2, 0);
  EXPECT_LT(bytes(16, 2), 1.05 * two);
  EXPECT_LT(bytes(15, 2), 1.05 * two);
  EXPECT_LT(bytes(7, 5), 1.05 * bytes(4, 0));
  EXPECT_GT(bytes(16, 0), 6.0 * two);
}

// A first layer that is dense, and the mean squared error.
TEST_F(ForgetfulParts, AreOfEveryModelAndLoss) {
  const Device device = Device::open("host");
  ModelBuilder builder("dense", 2, 3, 4);
  const Model dense =
      builder.build(builder.dense(builder.dense(builder.input(), 5, true), 3, false));
  for (const auto& [model, input] :
       {std::pair(dense, Shape{5, 3, 4, 2}),
        {zoo::make("classifier2(width=2, hidden=4)", 1, 3, 8, 8), {5, 8, 8, 1}}})
    for (const LossKind kind : {LossKind::kCrossEntropy, LossKind::kMeanSquaredError}) {
      SCOPED_TRACE(model.name());
      CurvatureCase whole(device, model, input, 1, {.kind = kind}, 0, CurvatureKind::kNone);
      CurvatureCase parts(device, model, input, 1, {.kind = kind}, 2, CurvatureKind::kNone);
      expect_close(parts.gradient(), to_double(whole.gradient()));
    }
}

TEST_F(ForgetfulParts, SayWhatTheyDoNotKeep) {
  CurvatureCase parts = loss(Device::open("host"), 2);
  EXPECT_EQ(message_of<std::logic_error>([&] { (void)parts.curvature().logits(); }),
            "unet(width=2, depth=1, transpose=true): logits: the loss takes 2 images at once of 5, "
            "and keeps nothing of them");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              BatchLoss& batch = parts.curvature();
              ConstTensorView x = batch.x();
              x.shape.n = 2;
              batch.linearise(parts.theta(), x, batch.labels());
            }),
            "unet(width=2, depth=1, transpose=true): linearise: the images are [2,5,6,1], the "
            "loss is for [5,5,6,1]");
}

TEST(BatchLossParts, TheLossIsThatOfTheWholeBatch) {
  const Device device = Device::open("host");
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 3);
  const auto loss_of = [&](int images, auto compute) {
    CurvatureCase c(device, model, {5, 5, 6, 1}, 1, {}, images);
    compute(c);
    DeviceArray<float> copy(device, 1);
    copy_tensor(c.stream(), ConstTensorView(c.curvature().loss(), {1, 1, 1, 1}), 1.0f, false,
                TensorView(copy.data(), {1, 1, 1, 1}));
    return copy.to_host(c.stream())[0];
  };
  const float whole = loss_of(5, [](CurvatureCase& c) { c.curvature().value(); });
  for (const int images : {1, 2, 3}) {
    const float value = loss_of(images, [](CurvatureCase& c) { c.curvature().value(); });
    EXPECT_NEAR(value, whole, 1e-6f * whole);
    // And a product leaves it alone.
    const float after = loss_of(images, [](CurvatureCase& c) {
      c.gradient();
      c.hvp(c.direction(1));
      c.product_of(c.direction(1), [](BatchLoss& batch, auto from, auto to) {
        batch.hvp(from, to, {.images = 1});
      });
    });
    EXPECT_EQ(after, value);
  }
}

TEST(BatchLossParts, TheSameBitsAtAnyThreadCount) {
  CurvatureCase c(Device::open("host"), zoo::make("unet(width=8, depth=2)", 3, 4), {5, 21, 18, 3},
                  11, {}, 2);
  const std::vector<float> v = c.direction(1);
  const std::vector<float> grad = c.gradient(), gv = c.ggnvp(v), hv = c.hvp(v);
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    EXPECT_EQ(c.gradient(), grad) << count << " threads";
    EXPECT_EQ(c.ggnvp(v), gv) << count << " threads";
    EXPECT_EQ(c.hvp(v), hv) << count << " threads";
  }
  omp_set_num_threads(threads);
}

/// What the documentation says of memory, of the default U-Net and of a wider and deeper one.
TEST(BatchLossParts, TakeLittleMoreMemoryThanTraining) {
  const Device device = Device::open("host");
  const Stream stream(device);
  struct Network {
    zoo::UnetOptions options;
    Shape input;
  };
  for (const Network& c :
       {Network{{}, {8, 96, 96, 1}}, Network{{.width = 32, .depth = 4}, {4, 96, 96, 1}}}) {
    const Model model = zoo::unet(c.input.c, 2, c.options);
    SCOPED_TRACE(model.name());
    const auto bytes = [&](CurvatureKind kind) {
      return static_cast<double>(BatchLoss(stream, model, c.input, {}, kind).memory_bytes());
    };
    const double training = bytes(CurvatureKind::kNone);
    EXPECT_LT(bytes(CurvatureKind::kGaussNewton), 1.2 * training);
    EXPECT_LT(bytes(CurvatureKind::kLowMemoryHessian), 1.6 * training);
    EXPECT_LT(bytes(CurvatureKind::kHessian), 2.8 * training);
  }
}

TEST(BatchLossParts, RefuseNumbersOutOfRange) {
  const Stream stream(Device::open("host"));
  const Model model = zoo::make("unet(width=2, depth=1)", 1, 2);
  const auto make = [&](CurvatureKind kind, int images) {
    return BatchLoss(stream, model, {3, 4, 4, 1}, {}, kind, images).images_at_once();
  };
  EXPECT_EQ(make(CurvatureKind::kNone, 0), 3);
  EXPECT_EQ(make(CurvatureKind::kGaussNewton, 0), 2);
  EXPECT_EQ(make(CurvatureKind::kHessian, 1), 1);
  EXPECT_EQ(make(CurvatureKind::kNone, 1), 1);
  EXPECT_THROW(make(CurvatureKind::kNone, 4), std::invalid_argument);
  EXPECT_THROW(make(CurvatureKind::kNone, -1), std::invalid_argument);
  EXPECT_THROW(make(CurvatureKind::kHessian, 4), std::invalid_argument);
  EXPECT_THROW(make(CurvatureKind::kHessian, -1), std::invalid_argument);
}

}  // namespace
}  // namespace curvseg
