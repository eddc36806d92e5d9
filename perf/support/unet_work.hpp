// A U-Net of the zoo at work on random images: training steps, gradients alone, or inference.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "curvseg/train.hpp"
#include "perf/support/arguments.hpp"

namespace curvseg::perf {

struct UnetRun {
  std::string work = "step";  // or "gradient", "inference"
  // Or another, or auto-second-phase, auto with short phases, or auto-watched, auto while SOAP
  // watches FOOF.
  std::string optimizer = "adam";
  int width = 16, depth = 3, channels = 1, classes = 2, batch = 8, height = 96, image_width = 96;
};

/// --work, --optimizer, --width, --depth, --channels, --classes, --batch, --size.
UnetRun unet_options(Arguments& arguments);

class UnetWork {
 public:
  /// Images and labels are on the device from the start.
  UnetWork(const Device& device, const UnetRun& options);
  ~UnetWork();

  void run();  ///< one step; waits
  std::string model_name() const;
  std::int64_t parameters() const;   ///< trainable numbers, without the padding between them
  double flops() const;              ///< of the convolutions of one step
  std::size_t memory_bytes() const;  ///< device memory: all that this work holds, images too

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace curvseg::perf
