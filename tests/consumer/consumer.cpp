// Uses an installed curvseg as an application would: versions agree, a model trains, a kernel runs
// on memory of the application, an exception of the library can be caught.
#include <curvseg/curvseg.hpp>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

int failures = 0;

void check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  ++failures;
}

void versions_agree() {
  const std::string header = std::to_string(curvseg::kVersion.major) + "." +
                             std::to_string(curvseg::kVersion.minor) + "." +
                             std::to_string(curvseg::kVersion.patch);
  check(header == EXPECTED_VERSION, "the headers are of another version than the package");
}

void three_steps_train() {
  const auto data = curvseg::open_dataset("builtin:cells?size=32&train=8&val=4&test=4", "train");
  curvseg::Trainer trainer(curvseg::Stream(curvseg::Device::open("host")),
                           curvseg::zoo::unet(data->channels(), data->classes(), {.width = 4}),
                           {.batch = 4, .max_steps = 3});
  double loss = NAN;
  const curvseg::FitResult result =
      trainer.fit(*data, nullptr, {.on_epoch = [&](const curvseg::EpochReport& report) {
        loss = report.loss;
        return true;
      }});
  check(result.steps == 3, "three steps were asked for");
  check(std::isfinite(loss), "the loss is not finite");
}

/// y = x ⊛ w with a 1x1 filter, on vectors of the application.
void kernel_runs_on_foreign_memory() {
  const std::vector<float> x{1, 2, 3, 4, 5, 6};  // [1,1,3,2]
  const std::vector<float> w{1, 10, 100, 1000};  // [1,1,2,2]
  std::vector<float> y(6, NAN);
  const curvseg::Device device = curvseg::Device::open("host");
  const curvseg::Stream stream = curvseg::Stream::wrap(device, nullptr);
  const curvseg::Shape shape{.n = 1, .h = 1, .w = 3, .c = 2};
  const curvseg::ConstFilterView filter{w.data(), 1, 1, 2, 2};
  std::vector<float> scratch(
      curvseg::conv2d_forward_workspace(device, shape, filter, {}) / sizeof(float) + 4);
  curvseg::conv2d_forward(stream, {x.data(), shape}, filter, {},
                          {scratch.data(), scratch.size() * sizeof(float)}, {y.data(), shape});
  stream.synchronise();
  check(y == std::vector<float>{201, 2010, 403, 4030, 605, 6050}, "conv2d_forward is wrong");
}

void errors_name_both_sides() {
  try {
    curvseg::Device::open("abacus");
    check(false, "a device that does not exist was opened");
  } catch (const curvseg::InputError& e) {
    check(std::strstr(e.what(), "abacus") && std::strstr(e.what(), "host"), e.what());
  }
}

}  // namespace

int main() {
  versions_agree();
  three_steps_train();
  kernel_runs_on_foreign_memory();
  errors_name_both_sides();
  return failures == 0 ? 0 : 1;
}
