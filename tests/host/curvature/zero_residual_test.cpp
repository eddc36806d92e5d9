// Where the model's output is what the mean squared error asks for, the Hessian is the Gauss-Newton
// matrix: what is left of it has the residual as a factor.
#include "host/curvature/curvature_case.hpp"

namespace curvseg {
namespace {

using namespace testing;

constexpr int kClasses = 3;
constexpr Shape kInput{2, 6, 7, kClasses};

/// Two layers that pass on the image's channels beside others whose contributions cancel: the
/// hidden channels 3 and 4 are equal, and the second layer takes their difference. All numbers are
/// whole, so the logits are exactly the image.
struct Identity {
  Model model;
  std::vector<float> theta;
};

Identity identity() {
  ModelBuilder b("identity", kClasses);
  const int hidden = b.conv(b.input(), {.name = "hidden", .k = kClasses + 2});
  Identity result{b.build(b.conv(hidden, {.name = "logits", .k = kClasses, .relu = false})), {}};
  result.theta.assign(static_cast<std::size_t>(result.model.parameter_count()), 0.0f);
  const std::vector<float> some = small_integers(result.theta.size(), 1, 2);
  for (const Parameter& p : result.model.parameters()) {
    if (p.shape.size() != 4) continue;  // biases are 0
    const bool first = p.name.starts_with("hidden");
    const auto c = static_cast<std::size_t>(p.shape[2]), k = static_cast<std::size_t>(p.shape[3]);
    for (std::size_t tap = 0; tap < 9; ++tap)
      for (std::size_t in = 0; in < c; ++in)
        for (std::size_t out = 0; out < k; ++out) {
          const std::size_t at = (tap * c + in) * k + out;
          float& w = result.theta[static_cast<std::size_t>(p.offset) + at];
          if (in < kClasses && out < kClasses)
            w = tap == 4 && in == out ? 1.0f : 0.0f;
          else if (first)  // out is 3 or 4
            w = some[at - (out - kClasses)];
          else  // in is 3 or 4
            w = (in == kClasses ? 1.0f : -1.0f) * some[(tap * c + kClasses) * k + out];
        }
  }
  return result;
}

TEST(ZeroResidual, HessianIsGaussNewton) {
  const Identity made = identity();
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    const Device device = Device::open(name);
    const Stream stream(device);
    BatchLoss loss(stream, made.model, kInput, {.kind = LossKind::kMeanSquaredError},
                   CurvatureKind::kHessian);
    const std::int64_t size = made.model.parameter_count();
    DeviceArray<float> theta(device, size), v(device, size), product(device, size);
    theta.upload(stream, made.theta.data(), size);
    std::vector<float> direction = uniform_floats(made.theta.size(), 3);
    clear_padding(made.model, direction);
    v.upload(stream, direction.data(), size);
    Labels labels = random_labels(kInput, 5);
    std::vector<float> x(static_cast<std::size_t>(kInput.elements()));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] >= 0)
        x[i * kClasses + static_cast<std::size_t>(labels[i])] = 1.0f;
      else
        x[i * kClasses] = 5.0f;  // no label: no residual either, whatever the logits
    }
    Tensor image(device, kInput);
    image.upload(stream, x);
    DeviceArray<std::int32_t> device_labels(device, kInput.pixels());
    const auto product_of = [&](auto multiply) {
      multiply(ConstVectorView{v.data(), size}, VectorView{product.data(), size});
      return product.to_host(stream);
    };
    const auto linearise = [&] {
      device_labels.upload(stream, labels.data(), kInput.pixels());
      loss.linearise({theta.data(), size}, image, device_labels.data());
    };
    const auto ggnvp = [&](auto from, auto to) { loss.ggnvp(from, to); };
    const auto hvp = [&](auto from, auto to) { loss.hvp(from, to); };

    linearise();
    loss.value();
    DeviceArray<float> value(device, 1);
    copy_tensor(stream, ConstTensorView(loss.loss(), {1, 1, 1, 1}), 1.0f, false,
                TensorView(value.data(), {1, 1, 1, 1}));
    ASSERT_EQ(value.to_host(stream)[0], 0.0f) << "the logits are not the targets";
    const std::vector<float> gv = product_of(ggnvp);
    EXPECT_EQ(product_of(hvp), gv);
    EXPECT_GT(inner_product(direction, gv), 0.0);

    // With a residual they differ, so that the above says something.
    for (std::int32_t& label : labels) label = label >= 0 ? (label + 1) % kClasses : label;
    linearise();
    EXPECT_NE(product_of(hvp), product_of(ggnvp));
  }
}

}  // namespace
}  // namespace curvseg
