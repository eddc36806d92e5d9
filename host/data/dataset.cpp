#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "curvseg/data.hpp"
#include "host/data/fnv1a.hpp"
#include "host/data/parallel.hpp"

namespace curvseg {

void Dataset::validate_pixels() const {
  parallel_for_each_index(size(), [this](std::size_t index) { static_cast<void>(get(index)); });
}

std::string Dataset::identity(std::size_t index) const {
  const ImageSize size = image_size(index);
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

DataFingerprint fingerprint(const Dataset& dataset) {
  std::uint64_t hash = kFnvOffset;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const std::string identity = dataset.identity(i) + '\n';  // "a","bc" is not "ab","c"
    hash = fnv1a(hash, std::as_bytes(std::span(identity)));
  }
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash));
  return {dataset.size(), digits.data()};
}

Normalisation measure_normalisation(const Dataset& dataset, std::size_t max_samples) {
  const std::size_t size = dataset.size();
  const std::size_t count = max_samples < size ? max_samples : size;
  if (count == 0) {
    throw Error("measure_normalisation: " + dataset.name() + ": no samples to measure");
  }
  const auto channels = static_cast<std::size_t>(dataset.channels());
  // Sums about 0.5 keep the cancellation in E[x^2] - E[x]^2 far from the precision of a double.
  constexpr double kPivot = 0.5;
  struct Sums {
    std::vector<double> values, squares;  // by channel
    double pixels = 0.0;
    explicit Sums(std::size_t channels) : values(channels, 0.0), squares(channels, 0.0) {}
  };
  std::vector<Sums> sums(count, Sums(channels));
  // Before the first step everybody waits for this: decoding takes all cores.
  parallel_for_each_index(count, [&](std::size_t k) {
    const Sample sample = dataset.get(k * size / count);
    Sums& own = sums[k];
    for (std::size_t i = 0; i < sample.image.size(); i += channels) {
      for (std::size_t c = 0; c < channels; ++c) {
        const double value = static_cast<double>(sample.image[i + c]) - kPivot;
        own.values[c] += value;
        own.squares[c] += value * value;
      }
    }
    const std::size_t pixels = sample.image.size() / channels;
    own.pixels = static_cast<double>(pixels);
  });
  Sums all(channels);
  for (const Sums& each : sums) {  // in this order whatever the number of cores
    for (std::size_t c = 0; c < channels; ++c) {
      all.values[c] += each.values[c];
      all.squares[c] += each.squares[c];
    }
    all.pixels += each.pixels;
  }
  Normalisation result;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = all.values[c] / all.pixels;
    const double variance = all.squares[c] / all.pixels - mean * mean;
    const bool constant = !(variance > 1e-12);
    result.mean.push_back(static_cast<float>(mean + kPivot));
    result.stddev.push_back(constant ? 1.0F : static_cast<float>(std::sqrt(variance)));
  }
  return result;
}

}  // namespace curvseg
