/// @file
/// Data and models so small that a training takes milliseconds.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/data.hpp"
#include "curvseg/model.hpp"
#include "curvseg/train.hpp"

namespace curvseg::test {

/// Grey waves; class 1 where they are bright, some pixels without a label. Learnable by a 3x3
/// convolution.
class WavesDataset final : public Dataset {
 public:
  struct Options {
    std::size_t count = 7;
    int height = 10;
    int width = 12;
    bool mixed_sizes = false;  ///< every third image is one pixel wider
    bool ignore = false;       ///< image i has its first 13·i pixels without label
    bool all_ignored = false;
    int channels = 1;
    int classes = 2;
    bool classification = false;  ///< one label an image: is it brighter than the others?
  };

  WavesDataset() = default;
  explicit WavesDataset(Options options) : options_(options) {}

  std::size_t size() const override { return options_.count; }
  Sample get(std::size_t index) const override {
    const ImageSize size = image_size(index);
    Sample sample{size.height, size.width, options_.channels, {}, {}, std::to_string(index)};
    const double phase = 1.3 * static_cast<double>(index);
    for (int y = 0; y < size.height; ++y)
      for (int x = 0; x < size.width; ++x) add_pixel(sample, index, value(x, y, phase, index));
    if (options_.classification) sample.labels = {static_cast<std::int32_t>(index % 2)};
    return sample;
  }
  ImageSize image_size(std::size_t index) const override {
    return {options_.height, options_.width + (options_.mixed_sizes && index % 3 == 2 ? 1 : 0)};
  }
  int channels() const override { return options_.channels; }
  int classes() const override { return options_.classes; }
  std::vector<std::string> class_names() const override {
    std::vector<std::string> names;
    for (int c = 0; c < options_.classes; ++c) names.push_back("class" + std::to_string(c));
    return names;
  }
  bool is_classification() const override { return options_.classification; }
  std::string name() const override { return "waves"; }

 private:
  double value(int x, int y, double phase, std::size_t index) const {
    const double wave = 0.5 + 0.25 * std::sin(0.9 * x + phase) + 0.2 * std::cos(1.1 * y - phase);
    return options_.classification && index % 2 == 1 ? 1.0 - 0.5 * wave : 0.5 * wave;
  }
  void add_pixel(Sample& sample, std::size_t index, double brightness) const {
    for (int c = 0; c < options_.channels; ++c)
      sample.image.push_back(static_cast<float>(brightness));
    const bool hidden =
        options_.all_ignored || (options_.ignore && sample.labels.size() < 13 * index);
    sample.labels.push_back(hidden ? kIgnoreLabel : brightness > 0.26 ? 1 : 0);
  }

  Options options_ = {};
};

/// One 3x3 convolution with ReLU and one 1x1: 2 layers, 58 parameters.
inline Model tiny_model(int in_channels = 1, int classes = 2, int width = 5) {
  ModelBuilder builder("tiny", in_channels);
  const int hidden = builder.conv(builder.input(), {.name = "hidden", .k = width});
  return builder.build(
      builder.conv(hidden, {.name = "scores", .k = classes, .r = 1, .s = 1, .relu = false}));
}

/// On the device that the environment variable CURVSEG_TEST_DEVICE names, else on the host.
inline Stream test_stream() {
  const char* device = std::getenv("CURVSEG_TEST_DEVICE");
  return Stream(Device::open(device ? device : "host"));
}

/// All samples of a set in one batch, as a loader makes it.
inline Batch batch_of(const Dataset& dataset, std::size_t first, std::size_t count) {
  Batch batch;
  for (std::size_t i = first; i < first + count; ++i) {
    const Sample sample = dataset.get(i);
    batch.n += 1;
    batch.h = sample.height;
    batch.w = sample.width;
    batch.c = sample.channels;
    batch.images.insert(batch.images.end(), sample.image.begin(), sample.image.end());
    batch.labels.insert(batch.labels.end(), sample.labels.begin(), sample.labels.end());
    batch.indices.push_back(i);
  }
  return batch;
}

/// Bits, not values: a NaN equals itself, 0 and −0 differ.
inline bool same_bits(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].shape != b[i].shape ||
        a[i].values.size() != b[i].values.size())
      return false;
    for (std::size_t j = 0; j < a[i].values.size(); ++j)
      if (std::bit_cast<std::uint32_t>(a[i].values[j]) !=
          std::bit_cast<std::uint32_t>(b[i].values[j]))
        return false;
  }
  return true;
}

}  // namespace curvseg::test
