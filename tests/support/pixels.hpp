// Tensors of [pixels, channels] with gaps between their pixels, as slices of a wider one have.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/targets.hpp"

namespace curvseg::testing {

/// Where the channels of a pixel lie: `gap` elements that belong to others, `offset` of them first.
struct PixelLayout {
  int gap = 0;
  int offset = 0;
};

/// Dense; a slice whose every pixel is 16-byte aligned where its channels allow it; one that never
/// is. (Aligned as far as the test's own buffers are: more than 16 bytes.)
inline std::vector<PixelLayout> pixel_layouts() { return {{0, 0}, {8, 4}, {3, 1}}; }

inline std::string name_of(const PixelLayout& layout) {
  return "gap " + std::to_string(layout.gap) + ", offset " + std::to_string(layout.offset);
}

/// Device memory of [pixels, channels] in a layout.
class PixelBuffer {
 public:
  PixelBuffer(DeviceBuffer<float> buffer, int channels, PixelLayout layout)
      : buffer_(std::move(buffer)), channels_(channels), layout_(layout) {}

  float* get() const { return buffer_.get() + layout_.offset; }
  std::int64_t ld() const { return channels_ + layout_.gap; }
  const DeviceBuffer<float>& all() const { return buffer_; }
  int channels() const { return channels_; }
  PixelLayout layout() const { return layout_; }

 private:
  DeviceBuffer<float> buffer_;
  int channels_;
  PixelLayout layout_;
};

class PixelTest : public TargetTest {
 protected:
  /// `dense` is [pixels, channels]; what belongs to others is NaN.
  PixelBuffer upload_pixels(const std::vector<float>& dense, int channels,
                            PixelLayout layout = {}) const {
    const auto c = static_cast<std::size_t>(channels);
    const auto ld = c + static_cast<std::size_t>(layout.gap);
    const auto offset = static_cast<std::size_t>(layout.offset);
    std::vector<float> all(c == 0 ? 0 : dense.size() / c * ld, NAN);
    for (std::size_t i = 0; i < dense.size(); ++i) all[i / c * ld + offset + i % c] = dense[i];
    return PixelBuffer(upload(all), channels, layout);
  }

  /// An output of `size` elements in all, NaN before the call.
  PixelBuffer output_pixels(std::size_t size, int channels, PixelLayout layout = {}) const {
    return upload_pixels(std::vector<float>(size, NAN), channels, layout);
  }

  /// Waits, reads, and fails if something was written between the pixels.
  std::vector<float> download_pixels(const PixelBuffer& buffer) const {
    const std::vector<float> all = download(buffer.all());
    const auto c = static_cast<std::size_t>(buffer.channels());
    const auto ld = static_cast<std::size_t>(buffer.ld());
    const auto offset = static_cast<std::size_t>(buffer.layout().offset);
    std::vector<float> dense;
    bool gaps_written = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % ld >= offset && i % ld < offset + c)
        dense.push_back(all[i]);
      else
        gaps_written = gaps_written || !std::isnan(all[i]);
    }
    EXPECT_FALSE(gaps_written) << "a kernel wrote between its pixels";
    return dense;
  }
};

inline std::vector<double> as_double(const std::vector<float>& values) {
  return std::vector<double>(values.begin(), values.end());
}

/// Each double rounded to float: what one correctly rounded operation gives.
inline std::vector<double> rounded(std::vector<double> values) {
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  return values;
}

/// The float gradient's way to memory, in double: add the old value, then mask.
inline std::vector<double> accumulated_and_masked(std::vector<double> gradient,
                                                  const std::vector<float>* old,
                                                  const std::vector<float>* mask) {
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    if (old) gradient[i] += static_cast<double>((*old)[i]);
    if (mask && !((*mask)[i] > 0.0f)) gradient[i] = 0.0;
  }
  return gradient;
}

inline double dot(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace curvseg::testing
