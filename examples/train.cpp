// Trains a U-Net and reports how well it segments images it has not seen.
//   train [data set, default builtin:cells] [epochs, default 10]
#include <curvseg/curvseg.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  const char* data = argc > 1 ? argv[1] : "builtin:cells";
  const std::uint64_t epochs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10;

  const auto train = curvseg::open_dataset(data, "train");
  const auto val = curvseg::open_dataset(data, "val");
  curvseg::Trainer trainer(curvseg::Stream(curvseg::Device::open()),
                           curvseg::zoo::unet(train->channels(), train->classes()),
                           {.epochs = epochs, .augment = {.flip_horizontal = true}});
  trainer.fit(*train, val.get());
  std::printf("mIoU %.3f\n", trainer.evaluate(*val).confusion.mean_iou());
  curvseg::save_checkpoint("cells.safetensors", trainer.state());
}
