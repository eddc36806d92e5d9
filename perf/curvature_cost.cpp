// What a curvature product of a U-Net costs, in ratio to one gradient (forward and backward pass).
//
// Warm: the forward pass at this theta is stored already; cold: it is part of the product's time.
// The sides alternate, so that a change of the machine's speed hits both; a ratio is the median of
// the pairs, with the least and the largest. Memory is that of the plans.
//
// With --on-demand it prints a JSON object about the work, and for each line it reads ("gradient",
// "ggnvp warm", "ggnvp cold", "hvp warm", "low-memory hvp warm" …) one with its seconds: the
// counterpart of perf/peers/pytorch_curvature.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "perf/support/arguments.hpp"
#include "perf/support/data.hpp"
#include "perf/support/unet_work.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(curvature_cost [--width 16] [--depth 3] [--channels 1] [--classes 2] [--batch 8] [--size 96]
               [--device host] [--pairs 15 | --on-demand] [--clock wall|cpu]

Gauss-Newton and Hessian products of a U-Net in ratio to its gradient, in time and in memory. With
--on-demand one JSON line for each line read: gradient, ggnvp warm, ggnvp cold, hvp warm, hvp cold,
low-memory hvp warm, low-memory hvp cold.
)";

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
        training_(stream_, model_, images_.shape(), {}, CurvatureKind::kNone),
        hessian_(stream_, model_, images_.shape(), {}, CurvatureKind::kHessian),
        low_memory_(stream_, model_, images_.shape(), {}, CurvatureKind::kLowMemoryHessian) {
    std::vector<std::int32_t> labels(static_cast<std::size_t>(labels_.size()));
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::int32_t>(i * 7 / 3 % static_cast<std::size_t>(o.classes));
    labels_.upload(stream_, labels.data(), labels_.size());
    const unsigned long long seed = 1;
    seed_.upload(stream_, &seed, 1);
    for (const DeviceArray<float>* vector : {&theta_, &v_})
      fill(stream_, {vector->data(), vector->size()}, 0.0f);
    model_.initialise(stream_, 1, {theta_.data(), theta_.size()});
    model_.initialise(stream_, 2, {v_.data(), v_.size()});
    stream_.synchronise();
    check();
  }

  void linearise() {
    for (BatchLoss* loss : {&gauss_newton_, &hessian_, &low_memory_})
      loss->linearise(view(theta_), images_, labels_.data());
    stream_.synchronise();
  }
  /// Of a training step.
  void gradient() {
    training_.linearise(view(theta_), images_, labels_.data());
    training_.gradient({out_.data(), out_.size()});
    stream_.synchronise();
  }
  /// Something that follows a forward pass.
  struct Work {
    const char* name;
    BatchLoss* loss;
    std::function<void(BatchLoss&)> run;
  };
  std::vector<Work> products() {
    const ConstVectorView v = view(v_);
    const VectorView to{out_.data(), out_.size()};
    const auto hvp = [=](BatchLoss& loss) { loss.hvp(v, to); };
    return {{"ggnvp", &gauss_newton_, [=](BatchLoss& loss) { loss.ggnvp(v, to); }},
            {"hvp", &hessian_, hvp},
            {"low-memory hvp", &low_memory_, hvp},
            {"fisher_vp", &gauss_newton_,
             [=, this](BatchLoss& loss) { loss.fisher_vp(v, {seed_.data()}, to); }}};
  }
  /// A backward pass, and what is to be compared with it.
  std::vector<Work> backward_passes() {
    const VectorView to{out_.data(), out_.size()};
    return {{"backward pass", &gauss_newton_, [=](BatchLoss& loss) { loss.gradient(to); }},
            {"squared gradients", &gauss_newton_,
             [=](BatchLoss& loss) { loss.squared_gradients(to); }}};
  }
  void warm(const Work& work) {
    work.run(*work.loss);
    stream_.synchronise();
  }
  void cold(const Work& work) {
    work.loss->linearise(view(theta_), images_, labels_.data());
    warm(work);
  }
  /// By its name on the lines of --on-demand.
  void run(const std::string& work) {
    if (work == "gradient") return gradient();
    for (const Work& product : products()) {
      if (work == std::string(product.name) + " warm") return warm(product);
      if (work == std::string(product.name) + " cold") return cold(product);
    }
    throw std::runtime_error("there is no work \"" + work + "\"");
  }
  std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const Parameter& each : model_.parameters()) count += each.size;
    return count;
  }
  std::vector<std::pair<const char*, std::size_t>> memory() const {
    return {{"ggnvp", gauss_newton_.memory_bytes()},
            {"hvp", hessian_.memory_bytes()},
            {"low-memory hvp", low_memory_.memory_bytes()}};
  }
  std::size_t training_bytes() const {
    return Plan(model_, stream_.device(), images_.shape(), PlanMode::kTraining).memory_bytes();
  }

 private:
  static ConstVectorView view(const DeviceArray<float>& array) {
    return {array.data(), array.size()};
  }

  /// Products along v are positive: enough to see that they are some; tests compare them with
  /// explicit matrices.
  void check() {
    linearise();
    for (const Work& work : products()) {
      warm(work);
      if (work.loss != &gauss_newton_) continue;  // the Hessian need not be positive
      const std::vector<float> v = v_.to_host(stream_), product = out_.to_host(stream_);
      double sum = 0.0;
      for (std::size_t i = 0; i < v.size(); ++i) sum += double(v[i]) * double(product[i]);
      if (!(sum > 0.0 && std::isfinite(sum)))
        throw std::runtime_error(std::string(work.name) + " along v is not positive");
    }
  }

  Stream stream_;
  Model model_;
  Tensor images_;
  DeviceArray<std::int32_t> labels_;
  DeviceArray<unsigned long long> seed_;
  DeviceArray<float> theta_, v_, out_;
  BatchLoss gauss_newton_, training_, hessian_, low_memory_;
};

struct Ratio {
  std::string name;
  std::vector<double> samples;
  void print() {
    std::sort(samples.begin(), samples.end());
    std::printf("| %s | %.2f [%.2f, %.2f] |\n", name.c_str(), samples[samples.size() / 2],
                samples.front(), samples.back());
  }
};

void answer_demands(const Device& device, Products& products) {
  std::printf(
      "{\"name\": \"curvseg, %s\", \"parameters\": %lld, \"threads\": %d, "
      "\"planned_bytes\": {\"gradient\": %zu",
      device.info().instruction_set.c_str(), static_cast<long long>(products.parameters()),
      threads(), products.training_bytes());
  for (const auto& [name, bytes] : products.memory()) std::printf(", \"%s\": %zu", name, bytes);
  std::printf("}}\n");
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
  std::vector<Ratio> ratios;
  const auto works = products.products();
  for (const auto& work : works) {
    ratios.push_back({std::string("time of ") + work.name + ", warm", {}});
    ratios.push_back({std::string("time of ") + work.name + ", cold", {}});
  }
  const auto passes = products.backward_passes();
  ratios.push_back({std::string("time of ") + passes[1].name + ", to a " + passes[0].name, {}});
  const auto time = [&](auto work) {
    const double start = seconds(clock);
    work();
    return seconds(clock) - start;
  };
  for (int i = 0; i < pairs; ++i)
    for (std::size_t k = 0; k < works.size(); ++k) {
      const double gradient = time([&] { products.gradient(); });
      gradients.push_back(gradient);
      ratios[2 * k].samples.push_back(time([&] { products.warm(works[k]); }) / gradient);
      ratios[2 * k + 1].samples.push_back(time([&] { products.cold(works[k]); }) / gradient);
      if (k > 0) continue;
      const double backward = time([&] { products.warm(passes[0]); });
      ratios.back().samples.push_back(time([&] { products.warm(passes[1]); }) / backward);
    }
  std::sort(gradients.begin(), gradients.end());
  const double mib = 1024.0 * 1024.0;
  std::printf(
      "U-Net of width %d and depth %d, batch %d of %dx%dx%d, %s, %d threads, gradient %.1f ms\n\n",
      options.width, options.depth, options.batch, options.height, options.image_width,
      options.channels, device.info().instruction_set.c_str(), threads(),
      gradients[gradients.size() / 2] * 1e3);
  std::printf("| to one gradient | ratio |\n| --- | --- |\n");
  for (Ratio& ratio : ratios) ratio.print();
  const double training = static_cast<double>(products.training_bytes());
  for (const auto& [name, bytes] : products.memory())
    std::printf("| memory of %s | %.2f (%.1f to %.1f MiB) |\n", name,
                static_cast<double>(bytes) / training, static_cast<double>(bytes) / mib,
                training / mib);
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
  using namespace curvseg::perf;
  return run_main(argc, argv, "curvature_cost", kUsage, run);
}
