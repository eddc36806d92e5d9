// How fast dlib's per-pixel trainer, the other way to train a segmenter in C++, trains the U-Net of
// width 16 and depth 3 on 8 random grey images of 96x96. Speaks as perf/training_speed.cpp does.
#include <dlib/dnn.h>
#include <dlib/revision.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "perf/support/arguments.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(dlib_training [--steps 2] [--samples 5 | --on-demand]

How fast dlib trains a U-Net of width 16 and depth 3 on 8x96x96 random images: one JSON line a
sample of --steps steps, with --on-demand a sample for each line read.
)";

constexpr int kBatch = 8, kSize = 96, kClasses = 2;

template <long kOutputs, class Below>
using TwoConvs =
    dlib::relu<dlib::con<kOutputs, 3, 3, 1, 1, dlib::relu<dlib::con<kOutputs, 3, 3, 1, 1, Below>>>>;
template <class Below>
using Pool = dlib::max_pool<2, 2, 2, 2, Below>;

template <class Below>
using Skip1 = dlib::add_tag_layer<2101, Below>;
template <class Below>
using Skip2 = dlib::add_tag_layer<2102, Below>;
template <class Below>
using Skip3 = dlib::add_tag_layer<2103, Below>;
template <class Below>
using Up1 = dlib::add_tag_layer<2111, Below>;
template <class Below>
using Up2 = dlib::add_tag_layer<2112, Below>;
template <class Below>
using Up3 = dlib::add_tag_layer<2113, Below>;

template <long kOutputs, template <class> class Skip, template <class> class Up, class Below>
using Decoder =
    TwoConvs<kOutputs,
             dlib::add_layer<dlib::concat_<Skip, Up>, Up<dlib::cont<kOutputs, 2, 2, 2, 2, Below>>>>;

using Encoder1 = Skip1<TwoConvs<16, dlib::input<dlib::matrix<float>>>>;
using Encoder2 = Skip2<TwoConvs<32, Pool<Encoder1>>>;
using Encoder3 = Skip3<TwoConvs<64, Pool<Encoder2>>>;
using Bottleneck = TwoConvs<128, Pool<Encoder3>>;
using Decoders =
    Decoder<16, Skip1, Up1, Decoder<32, Skip2, Up2, Decoder<64, Skip3, Up3, Bottleneck>>>;
using UNet = dlib::loss_multiclass_log_per_pixel<dlib::con<kClasses, 1, 1, 1, 1, Decoders>>;

long peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

struct Batch {
  std::vector<dlib::matrix<float>> images;
  std::vector<dlib::matrix<std::uint16_t>> labels;
};

Batch random_batch() {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  Batch batch;
  for (int i = 0; i < kBatch; ++i) {
    dlib::matrix<float> image(kSize, kSize);
    dlib::matrix<std::uint16_t> label(kSize, kSize);
    for (float& value : image) value = normal(engine);
    for (std::uint16_t& value : label) value = static_cast<std::uint16_t>(engine() % kClasses);
    batch.images.push_back(image);
    batch.labels.push_back(label);
  }
  return batch;
}

void run(Arguments& arguments) {
  const int steps = arguments.number("steps", 2), samples = arguments.number("samples", 5);
  const bool on_demand = arguments.flag("on-demand");
  arguments.done();
  const Batch batch = random_batch();
  const long before = peak_memory_bytes();
  UNet net;
  dlib::dnn_trainer<UNet, dlib::adam> trainer(net, dlib::adam(0.0f, 0.9f, 0.999f));
  trainer.set_learning_rate(1e-3);
  trainer.set_iterations_without_progress_threshold(1'000'000'000);
  const auto step = [&](int count) {
    for (int i = 0; i < count; ++i) trainer.train_one_step(batch.images, batch.labels);
    trainer.get_net(dlib::force_flush_to_disk::no);  // waits
  };
  step(3);
  std::printf(
      "{\"name\": \"dlib %d.%d\", \"parameters\": %zu, \"threads\": %d, \"memory_bytes\": %ld}\n",
      DLIB_MAJOR_VERSION, DLIB_MINOR_VERSION, dlib::count_parameters(net), threads(),
      peak_memory_bytes() - before);
  std::fflush(stdout);
  for_each_sample(samples, on_demand, [&] {
    const double wall = seconds(Clock::kWall), cpu = seconds(Clock::kCpu);
    step(steps);
    std::printf("{\"seconds\": %.9f, \"cpu_seconds\": %.9f}\n",
                (seconds(Clock::kWall) - wall) / steps, (seconds(Clock::kCpu) - cpu) / steps);
  });
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, "dlib_training", kUsage, run);
}
