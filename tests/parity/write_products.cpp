// Loss, gradient, Hessian and Gauss-Newton products of networks on fixed batches, for another
// program to compute too (compare_products.py).
//
//   parity_products FOLDER [DEVICE]
//
// Each case leaves two files in FOLDER: NAME.checkpoint.safetensors, as a training saves it, and
// NAME.products.safetensors, computed from the parameters that were read back from the first:
//   x [N,H,W,C], labels [N,H,W], loss, and for each parameter P  v.P, grad.P, hvp.P, ggnvp.P,
// with the options of the loss in the metadata. Exit status 77: there is no such device here.
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/curvature.hpp"
#include "curvseg/error.hpp"
#include "curvseg/labels.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/train.hpp"
#include "host/io/safetensors.hpp"
#include "tests/support/devices.hpp"

namespace curvseg {
namespace {

struct Case {
  std::string name, model;
  int classes = 2;
  Shape input;
  LossOptions loss = {};
  float gain = 1.0f;  // of the weights; more makes some probabilities nearly 0 or 1
};

/// Sizes that no pooling divides, both ways of up-sampling, every option of the losses.
std::vector<Case> cases() {
  return {
      {"transposed", "unet(width=4, depth=2)", 4, {2, 21, 18, 3}},
      {"bilinear", "unet(width=4, depth=2, transpose=false)", 3, {2, 19, 22, 1}},
      {"transposed_weighted",
       "unet(width=3, depth=3)",
       3,
       {1, 29, 17, 2},
       {.class_weights = {0.5f, 2.0f, 0.0f}, .label_smoothing = 0.1f}},
      {"bilinear_weighted",
       "unet(width=3, depth=3, transpose=false)",
       4,
       {2, 17, 30, 1},
       {.class_weights = {1.0f, 3.0f, 0.25f, 2.0f}, .label_smoothing = 0.2f}},
      {"smoothed", "unet(width=5, depth=1)", 2, {3, 16, 16, 1}, {.label_smoothing = 0.5f}},
      {"saturated", "unet(width=8, depth=2)", 3, {2, 24, 20, 1}, {}, 1.2f},
      {"squared_error",
       "unet(width=4, depth=2)",
       3,
       {2, 15, 20, 2},
       {.kind = LossKind::kMeanSquaredError}},
  };
}

std::vector<float> uniform(std::size_t n, std::mt19937& engine) {
  std::vector<float> values(n);
  for (float& value : values)
    value = static_cast<float>(static_cast<double>(engine()) / 2147483648.0 - 1.0);
  return values;
}

/// Images and labels of noise. One pixel in nine is ignored, and with several images all of the
/// last one's left half.
Batch make_batch(const Case& c, std::mt19937& engine) {
  Batch batch{.n = c.input.n, .h = c.input.h, .w = c.input.w, .c = c.input.c};
  batch.images = uniform(static_cast<std::size_t>(c.input.elements()), engine);
  for (std::size_t i = 0; i < static_cast<std::size_t>(c.input.pixels()); ++i) {
    const auto label = static_cast<int>(engine() % static_cast<unsigned>(c.classes));
    const bool in_last =
        c.input.n > 1 && i >= static_cast<std::size_t>((c.input.n - 1) * c.input.h * c.input.w);
    const bool left = static_cast<int>(i) % c.input.w < c.input.w / 2;
    const bool ignored = engine() % 9 == 0 || (in_last && left);
    batch.labels.push_back(ignored ? kIgnoreLabel : label);
  }
  return batch;
}

/// The first state of a training, with biases that are not 0. It has the same bits everywhere, and
/// so do the ReLU masks that some other rounding of the parameters might change.
void write_checkpoint(const std::filesystem::path& path, const Device& device, const Case& c,
                      std::mt19937& engine) {
  TrainerOptions options;
  options.seed = 5;
  options.loss = c.loss;
  Trainer trainer(Stream(device), zoo::make(c.model, c.input.c, c.classes), options);
  TrainingState state = trainer.state();
  for (NamedTensor& each : state.parameters) {
    if (each.shape.size() == 1) each.values = uniform(each.values.size(), engine);
    for (float& value : each.values) value *= each.shape.size() == 1 ? 0.125f : c.gain;
  }
  save_checkpoint(path, state);
}

SafetensorsTensor tensor(const std::string& name, const std::string& dtype,
                         std::vector<std::int64_t> shape, const void* data, std::size_t count) {
  SafetensorsTensor result{name, dtype, std::move(shape), {}};
  result.bytes.resize(count * 4);
  std::memcpy(result.bytes.data(), data, result.bytes.size());
  return result;
}

/// A flat vector on the device beside its values here.
class Vector {
 public:
  Vector(const Stream& stream, const Model& model)
      : stream_(stream),
        model_(model),
        array_(stream.device(), model.parameter_count()),
        values_(static_cast<std::size_t>(array_.size()), 0.0f) {}

  VectorView view() const { return {array_.data(), array_.size()}; }
  ConstVectorView const_view() const { return {array_.data(), array_.size()}; }

  /// Parameter by parameter, as `values(parameter)` gives them; padding is 0.
  template <class F>
  void set(const F& values) {
    for (const Parameter& p : model_.parameters()) {
      const std::vector<float> each = values(p);
      std::copy(each.begin(), each.end(), values_.begin() + p.offset);
    }
    array_.upload(stream_, values_.data(), array_.size());
    stream_.synchronise();
  }
  /// To the file, under `prefix`.
  void write(const std::string& prefix, SafetensorsFile& file) {
    values_ = array_.to_host(stream_);
    for (const Parameter& p : model_.parameters())
      file.tensors.push_back(tensor(prefix + "." + p.name, "F32", p.shape,
                                    values_.data() + p.offset, static_cast<std::size_t>(p.size)));
  }

 private:
  Stream stream_;
  Model model_;
  DeviceArray<float> array_;
  std::vector<float> values_;
};

const std::vector<float>& find(const TrainingState& state, const std::string& name) {
  for (const NamedTensor& each : state.parameters)
    if (each.name == name) return each.values;
  throw Error("the checkpoint has no " + name);
}

std::map<std::string, std::string> describe(const Case& c) {
  std::string weights;
  for (const float weight : c.loss.class_weights)
    weights += (weights.empty() ? "" : " ") + std::to_string(weight);
  return {{"model", c.model},
          {"classes", std::to_string(c.classes)},
          {"loss", c.loss.kind == LossKind::kCrossEntropy ? "cross-entropy" : "squared-error"},
          {"class_weights", weights},
          {"label_smoothing", std::to_string(c.loss.label_smoothing)}};
}

SafetensorsFile compute_products(const Device& device, const Case& c, const TrainingState& state,
                                 const Batch& batch, std::mt19937& engine) {
  const Stream stream(device);
  const Model model = make_model(state);
  Vector theta(stream, model), v(stream, model), out(stream, model);
  theta.set([&](const Parameter& p) { return find(state, p.name); });
  v.set([&](const Parameter& p) { return uniform(static_cast<std::size_t>(p.size), engine); });
  Tensor x(device, c.input);
  x.upload(stream, batch.images);
  const auto pixels = static_cast<std::int64_t>(batch.labels.size());
  DeviceArray<std::int32_t> labels(device, pixels);
  labels.upload(stream, batch.labels.data(), pixels);

  SafetensorsFile file;
  file.metadata = describe(c);
  file.tensors.push_back(tensor("x", "F32", {c.input.n, c.input.h, c.input.w, c.input.c},
                                batch.images.data(), batch.images.size()));
  file.tensors.push_back(tensor("labels", "I32", {c.input.n, c.input.h, c.input.w},
                                batch.labels.data(), batch.labels.size()));
  BatchLoss loss(stream, model, c.input, c.loss, CurvatureKind::kHessian);
  loss.linearise(theta.const_view(), x, labels.data());
  v.write("v", file);
  loss.gradient(out.view());
  out.write("grad", file);
  DeviceArray<float> value(device, 1);
  linear_combination(stream, {{{loss.loss(), 1}}}, {value.data(), 1});
  const float loss_value = value.to_host(stream)[0];
  file.tensors.push_back(tensor("loss", "F32", {}, &loss_value, 1));
  loss.hvp(v.const_view(), out.view());
  out.write("hvp", file);
  loss.ggnvp(v.const_view(), out.view());
  out.write("ggnvp", file);
  return file;
}

void run(const std::filesystem::path& folder, const Device& device) {
  std::filesystem::create_directories(folder);
  unsigned seed = 1;
  for (const Case& c : cases()) {
    std::mt19937 engine(seed++);
    const Batch batch = make_batch(c, engine);
    const std::filesystem::path checkpoint = folder / (c.name + ".checkpoint.safetensors");
    write_checkpoint(checkpoint, device, c, engine);
    write_safetensors(folder / (c.name + ".products.safetensors"),
                      compute_products(device, c, load_checkpoint(checkpoint), batch, engine));
  }
}

}  // namespace
}  // namespace curvseg

int main(int argc, char** argv) {
  try {
    if (argc < 2 || argc > 3) throw std::runtime_error("usage: parity_products FOLDER [DEVICE]");
    const std::string device = argc > 2 ? argv[2] : "host";
    if (!curvseg::testing::has_device(device)) {
      std::printf("there is no device %s here\n", device.c_str());
      return 77;
    }
    curvseg::run(argv[1], curvseg::Device::open(device));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity_products: %s\n", error.what());
    return 1;
  }
}
