// A whole U-Net of the zoo: training step, gradient and inference, with the memory each needs.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/nn/network_case.hpp"
#include "perf/support/harness.hpp"
#include "perf/support/unet_work.hpp"

namespace curvseg::perf {
namespace {

struct Case {
  const char* name;
  UnetRun run;
};

UnetRun unet_run(int width, int depth, int channels, int classes, int batch, int height,
                 int image_width) {
  UnetRun run;
  run.width = width, run.depth = depth, run.channels = channels, run.classes = classes;
  run.batch = batch, run.height = height, run.image_width = image_width;
  return run;
}

std::vector<Case> cases() {
  return {
      {"width16_depth3/8x96x96x1", unet_run(16, 3, 1, 2, 8, 96, 96)},
      {"width16_depth3/8x96x96x3", unet_run(16, 3, 3, 12, 8, 96, 96)},
      {"width16_depth3/1x512x512x1", unet_run(16, 3, 1, 2, 1, 512, 512)},
      {"width16_depth3/4x180x240x3", unet_run(16, 3, 3, 12, 4, 180, 240)},
      {"width32_depth4/4x128x128x3", unet_run(32, 4, 3, 12, 4, 128, 128)},
      {"width64_depth4/1x256x256x3", unet_run(64, 4, 3, 21, 1, 256, 256)},
  };
}

/// Output and gradient of a small U-Net of the same channels against double precision.
void check_unet(const Device& device, const UnetRun& run) {
  const Model model = zoo::unet(run.channels, run.classes, {.width = 4, .depth = 2});
  const Shape input{1, 13, 14, run.channels};
  const testing::NetworkData data = testing::real_data(model, input, 1);
  const testing::NetworkResult actual = testing::run_plan(device, model, input, data);
  const testing::ReferenceResult expected = testing::run_reference(model, input, data);
  require_close("output", actual.output, expected.output().value, expected.output().error);
  require_close("gradient", actual.grad, expected.grad.value, expected.grad.error);
}

class UnetOperation final : public Operation {
 public:
  UnetOperation(const Stream& stream, const UnetRun& run) : device_(stream.device()), run_(run) {}

  void check() override { check_unet(device_, run_); }
  void prepare() override { work_.emplace(device_, run_); }
  Work work() const override { return {.flops = work_->flops()}; }
  void run() override { work_->run(); }
  std::size_t memory_bytes() const override { return work_->memory_bytes(); }

 private:
  Device device_;
  UnetRun run_;
  std::optional<UnetWork> work_;
};

}  // namespace

void register_benchmarks() {
  for (const char* work : {"step", "gradient", "inference"})
    for (const Case& c : cases()) {
      UnetRun run = c.run;
      run.work = work;
      add(std::string(work) + "/" + c.name,
          [run](const Stream& stream) { return std::make_unique<UnetOperation>(stream, run); });
    }
}

}  // namespace curvseg::perf
