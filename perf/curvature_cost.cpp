// What a curvature product of a U-Net costs, in ratio to one gradient (forward and backward pass).
//
//   curvature_cost [--width 16] [--depth 3] [--channels 1] [--classes 2] [--batch 8] [--size 96]
//                  [--device host] [--pairs 15 | --on-demand] [--clock wall|cpu]
//
// Warm: the forward pass at this theta is stored already; cold: it is part of the product's time.
// The sides alternate, so that a change of the machine's speed hits both; a ratio is the median of
// the pairs, with the least and the largest. Memory is that of the plans.
//
// With --on-demand it prints a JSON object about the work, and for each line it reads ("gradient",
// "ggnvp warm", "ggnvp cold", "hvp warm", "hvp cold") one with its seconds: the counterpart of
// perf/peers/pytorch_curvature.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "perf/support/arguments.hpp"
#include "perf/support/data.hpp"
#include "perf/support/unet_work.hpp"

namespace curvseg::perf {
namespace {

class Products {
 public:
  Products(const Device& device, const UnetRun& o)
      : stream_(device),
        model_(zoo::unet(o.channels, o.classes, {.width = o.width, .depth = o.depth})),
        images_(random_tensor(stream_, {o.batch, o.height, o.image_width, o.channels}, 1)),
        labels_(device, images_.shape().pixels()),
        seed_(device, 1),
        theta_(device, model_.parameter_count()),
        v_(device, model_.parameter_count()),
        out_(device, model_.parameter_count()),
        gauss_newton_(stream_, model_, images_.shape()),
        hessian_(stream_, model_, images_.shape(), {}, CurvatureKind::kHessian) {
    std::vector<std::int32_t> labels(static_cast<std::size_t>(labels_.size()));
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::int32_t>(i * 7 / 3 % static_cast<std::size_t>(o.classes));
    labels_.upload(stream_, labels.data(), labels_.size());
    const std::uint64_t seed = 1;
    seed_.upload(stream_, &seed, 1);
    for (const DeviceArray<float>* vector : {&theta_, &v_})
      fill(stream_, {vector->data(), vector->size()}, 0.0f);
    model_.initialise(stream_, 1, {theta_.data(), theta_.size()});
    model_.initialise(stream_, 2, {v_.data(), v_.size()});
    stream_.synchronise();
    check();
  }

  void linearise() {
    gauss_newton_.linearise(view(theta_), images_, labels_.data());
    hessian_.linearise(view(theta_), images_, labels_.data());
    stream_.synchronise();
  }
  void gradient() {
    gauss_newton_.linearise(view(theta_), images_, labels_.data());
    gauss_newton_.gradient({out_.data(), out_.size()});
    stream_.synchronise();
  }
  /// Of the pass at hand.
  void backward() {
    gauss_newton_.gradient({out_.data(), out_.size()});
    stream_.synchronise();
  }
  void squared_gradients() {
    gauss_newton_.squared_gradients({out_.data(), out_.size()});
    stream_.synchronise();
  }
  void ggnvp() {
    gauss_newton_.ggnvp(view(v_), {out_.data(), out_.size()});
    stream_.synchronise();
  }
  void fisher_vp() {
    gauss_newton_.fisher_vp(view(v_), {seed_.data()}, {out_.data(), out_.size()});
    stream_.synchronise();
  }
  void hvp() {
    hessian_.hvp(view(v_), {out_.data(), out_.size()});
    stream_.synchronise();
  }
  void cold(void (Products::*product)()) {
    BatchLoss& which = product == &Products::hvp ? hessian_ : gauss_newton_;
    which.linearise(view(theta_), images_, labels_.data());
    (this->*product)();
  }
  /// By its name on the lines of --on-demand.
  void run(const std::string& work) {
    if (work == "gradient") return gradient();
    if (work == "ggnvp warm") return ggnvp();
    if (work == "ggnvp cold") return cold(&Products::ggnvp);
    if (work == "hvp warm") return hvp();
    if (work == "hvp cold") return cold(&Products::hvp);
    throw std::runtime_error("there is no work \"" + work + "\"");
  }
  std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const Parameter& each : model_.parameters()) count += each.size;
    return count;
  }
  std::size_t gauss_newton_bytes() const { return gauss_newton_.memory_bytes(); }
  std::size_t hessian_bytes() const { return hessian_.memory_bytes(); }
  std::size_t training_bytes() const {
    return Plan(model_, stream_.device(), images_.shape(), PlanMode::kTraining).memory_bytes();
  }

 private:
  static ConstVectorView view(const DeviceArray<float>& array) {
    return {array.data(), array.size()};
  }

  /// vᵀGv > 0: enough to see that the product is one; tests compare it with explicit matrices.
  void check() {
    linearise();
    hvp();
    ggnvp();
    const std::vector<float> v = v_.to_host(stream_), product = out_.to_host(stream_);
    double sum = 0.0;
    for (std::size_t i = 0; i < v.size(); ++i) sum += double(v[i]) * double(product[i]);
    if (!(sum > 0.0 && std::isfinite(sum))) throw std::runtime_error("v·G·v is not positive");
  }

  Stream stream_;
  Model model_;
  Tensor images_;
  DeviceArray<std::int32_t> labels_;
  DeviceArray<std::uint64_t> seed_;
  DeviceArray<float> theta_, v_, out_;
  BatchLoss gauss_newton_, hessian_;
};

struct Ratio {
  std::vector<double> samples;
  void print(const char* name) {
    std::sort(samples.begin(), samples.end());
    std::printf("| %s | %.2f [%.2f, %.2f] |\n", name, samples[samples.size() / 2], samples.front(),
                samples.back());
  }
};

void answer_demands(const Device& device, Products& products) {
  std::printf("{\"name\": \"curvseg, %s\", \"parameters\": %lld, \"threads\": %d}\n",
              device.info().instruction_set.c_str(), static_cast<long long>(products.parameters()),
              threads());
  std::fflush(stdout);
  for (std::string work; std::getline(std::cin, work);) {
    const double wall = seconds(Clock::kWall), cpu = seconds(Clock::kCpu);
    products.run(work);
    std::printf("{\"work\": \"%s\", \"seconds\": %.9f, \"cpu_seconds\": %.9f}\n", work.c_str(),
                seconds(Clock::kWall) - wall, seconds(Clock::kCpu) - cpu);
    std::fflush(stdout);
  }
}

void print_ratios(const Device& device, const UnetRun& options, Products& products, int pairs,
                  Clock clock) {
  std::vector<double> gradients;
  Ratio ratios[4], squares, fisher;
  void (Products::*const kinds[])() = {&Products::ggnvp, &Products::hvp};
  const auto time = [&](auto work) {
    const double start = seconds(clock);
    work();
    return seconds(clock) - start;
  };
  for (int i = 0; i < pairs; ++i) {
    const double gradient = time([&] { products.gradient(); });
    gradients.push_back(gradient);
    for (int k = 0; k < 2; ++k) {
      ratios[2 * k].samples.push_back(time([&] { (products.*kinds[k])(); }) / gradient);
      ratios[2 * k + 1].samples.push_back(time([&] { products.cold(kinds[k]); }) / gradient);
    }
    fisher.samples.push_back(time([&] { products.fisher_vp(); }) / gradient);
    const double backward = time([&] { products.backward(); });
    squares.samples.push_back(time([&] { products.squared_gradients(); }) / backward);
  }
  std::sort(gradients.begin(), gradients.end());
  const double mib = 1024.0 * 1024.0;
  std::printf(
      "U-Net of width %d and depth %d, batch %d of %dx%dx%d, %s, %d threads, gradient %.1f ms\n\n",
      options.width, options.depth, options.batch, options.height, options.image_width,
      options.channels, device.info().instruction_set.c_str(), threads(),
      gradients[gradients.size() / 2] * 1e3);
  std::printf("| to one gradient | ratio |\n| --- | --- |\n");
  ratios[0].print("time of ggnvp, warm");
  ratios[1].print("time of ggnvp, cold");
  ratios[2].print("time of hvp, warm");
  ratios[3].print("time of hvp, cold");
  fisher.print("time of fisher_vp, warm");
  squares.print("time of squared gradients, to a backward pass");
  const double training = static_cast<double>(products.training_bytes());
  const auto print_memory = [&](const char* name, std::size_t bytes) {
    const double own = static_cast<double>(bytes);
    std::printf("| memory of %s | %.2f (%.1f to %.1f MiB) |\n", name, own / training, own / mib,
                training / mib);
  };
  print_memory("ggnvp", products.gauss_newton_bytes());
  print_memory("hvp", products.hessian_bytes());
}

void run(Arguments& arguments) {
  const UnetRun options = unet_options(arguments);
  const Device device = Device::open(arguments.text("device", "host"));
  const int pairs = arguments.number("pairs", 15);
  const Clock clock = arguments.clock();
  const bool on_demand = arguments.flag("on-demand");
  arguments.done();
  Products products(device, options);
  if (on_demand) return answer_demands(device, products);
  print_ratios(device, options, products, pairs, clock);
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  try {
    curvseg::perf::Arguments arguments(argc, argv);
    curvseg::perf::run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "curvature_cost: %s\n", error.what());
    return 1;
  }
}
