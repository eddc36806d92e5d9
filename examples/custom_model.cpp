// A network of one's own: two levels and a skip connection, for images of any size.
//   custom_model [data set, default builtin:cells] [epochs, default 10]
#include <curvseg/curvseg.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

/// Numbers name the outputs of layers; each call adds one layer behind those it is given.
curvseg::Model two_levels(int channels, int classes) {
  curvseg::ModelBuilder b("two_levels", channels);
  const int fine = b.conv(b.input(), {.name = "encoder", .k = 16});
  const int coarse = b.conv(b.max_pool(fine), {.name = "bottom", .k = 32, .dilation = 2});
  const int joined = b.concat(fine, b.upsample(coarse, fine));
  const int decoded = b.conv(joined, {.name = "decoder", .k = 16});
  return b.build(b.conv(decoded, {.name = "head", .k = classes, .r = 1, .s = 1, .relu = false}));
}

int main(int argc, char** argv) {
  const char* data = argc > 1 ? argv[1] : "builtin:cells";
  const std::uint64_t epochs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10;

  const auto train = curvseg::open_dataset(data, "train");
  const curvseg::Model model = two_levels(train->channels(), train->classes());
  for (const curvseg::Parameter& p : model.parameters())
    std::printf("%-16s %lld\n", p.name.c_str(), static_cast<long long>(p.size));

  curvseg::Trainer trainer(curvseg::Stream(curvseg::Device::open()), model, {.epochs = epochs});
  trainer.fit(*train, nullptr, {.on_epoch = [](const curvseg::EpochReport& report) {
    std::printf("epoch %llu: loss %.4f\n", static_cast<unsigned long long>(report.epoch),
                report.loss);
    return true;
  }});
}
