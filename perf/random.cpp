// Initial values of a whole network, from the counter-based generator: GB/s written.
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "curvseg/model.hpp"
#include "perf/support/harness.hpp"

namespace curvseg::perf {
namespace {

class Initialise final : public Operation {
 public:
  Initialise(const Stream& stream, int width, int depth)
      : stream_(stream),
        model_(zoo::unet(3, 12, {.width = width, .depth = depth})),
        theta_(stream.device(), model_.parameter_count()) {}

  /// The bits are the tests' concern (tests/kernels/random); here: He's standard deviation, within
  /// five of its standard errors, of every filter before a ReLU.
  void check() override {
    run();
    const std::vector<float> theta = theta_.to_host(stream_);
    for (const Parameter& p : model_.parameters()) {
      if (p.initialiser != Initialiser::kHeNormal) continue;
      double squares = 0.0;
      for (std::int64_t i = 0; i < p.size; ++i) {
        const double value = theta[static_cast<std::size_t>(p.offset + i)];
        squares += value * value;
      }
      const double ratio =
          squares / static_cast<double>(p.size) * static_cast<double>(p.fan_in) / 2.0;
      if (!(std::fabs(ratio - 1.0) <= 5.0 * std::sqrt(2.0 / static_cast<double>(p.size))))
        throw std::runtime_error(p.name + ": variance is " + std::to_string(ratio) + " of He's");
    }
  }
  void prepare() override {}
  Work work() const override {
    return {.bytes = sizeof(float) * static_cast<double>(theta_.size())};
  }
  void run() override { model_.initialise(stream_, 1, {theta_.data(), theta_.size()}); }

 private:
  Stream stream_;
  Model model_;
  DeviceArray<float> theta_;
};

}  // namespace

void register_benchmarks() {
  for (const int width : {16, 64})
    add("initialise/unet_width" + std::to_string(width), [width](const Stream& stream) {
      return std::make_unique<Initialise>(stream, width, width == 16 ? 3 : 4);
    });
}

}  // namespace curvseg::perf
