// Tensors of [pixels, channels] with gaps between their pixels, as slices of a wider one have.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/targets.hpp"

namespace curvseg::testing {

/// Where the channels of a pixel lie: `gap` elements that belong to others, `offset` of them first.
/// `far`: the last pixel is more than 2^31 elements from the first, and between them is nothing
/// that anybody has touched.
struct PixelLayout {
  int gap = 0;
  int offset = 0;
  bool far = false;
};

/// Dense; a slice whose every pixel is 16-byte aligned where its channels allow it; one that never
/// is. (Aligned as far as the test's own buffers are: more than 16 bytes.)
inline std::vector<PixelLayout> pixel_layouts() { return {{0, 0}, {8, 4}, {3, 1}}; }

/// Offsets beyond 2^31, for at least two pixels: where FarMemory::is_there().
inline constexpr PixelLayout kFarPixels{.far = true};

inline std::string name_of(const PixelLayout& layout) {
  return layout.far
             ? "far"
             : "gap " + std::to_string(layout.gap) + ", offset " + std::to_string(layout.offset);
}

/// Device memory of which only what a test touches is ever committed, except on a GPU.
class FarMemory {
 public:
  FarMemory(const Target& target, std::int64_t floats)
      : target_(&target),
        memory_(static_cast<float*>(target.runtime->allocate(0, bytes(floats)))) {}
  FarMemory(FarMemory&& other) noexcept
      : target_(other.target_), memory_(std::exchange(other.memory_, nullptr)) {}
  FarMemory& operator=(FarMemory&&) = delete;
  ~FarMemory() {
    if (memory_) target_->runtime->release(0, memory_);
  }

  float* get() const { return memory_; }

  /// Whether a test may have four tensors of more than 2^31 elements.
  static bool is_there(const Target& target) {
#ifdef __SANITIZE_ADDRESS__
    return (void)target, false;  // its shadow would be committed
#else
    try {
      std::vector<FarMemory> four;
      for (int i = 0; i < 4; ++i) four.emplace_back(target, kReach + 4096);
      return true;
    } catch (const TargetError&) {
      return false;
    }
#endif
  }

  /// Elements between the first and the last pixel, at least.
  static constexpr std::int64_t kReach = (std::int64_t{1} << 31) + 64;

 private:
  static std::size_t bytes(std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  }

  const Target* target_;
  float* memory_;
};

/// Device memory of [pixels, channels] in a layout.
class PixelBuffer {
 public:
  /// `dense` is [pixels, channels]; what belongs to others is NaN, and far away nothing at all.
  PixelBuffer(const Target& target, const std::vector<float>& dense, int channels,
              PixelLayout layout)
      : target_(&target),
        channels_(channels),
        layout_(layout),
        pixels_(channels == 0 ? 0 : static_cast<std::int64_t>(dense.size()) / channels),
        ld_(channels + layout.gap) {
    const auto c = static_cast<std::size_t>(channels), ld = static_cast<std::size_t>(ld_);
    if (layout.far) {
      const std::int64_t strides = std::max<std::int64_t>(pixels_ - 1, 1);
      ld_ = (FarMemory::kReach / strides / 4 + 1) * 4;
      far_ = std::make_unique<FarMemory>(target, pixels_ == 0 ? 0 : strides * ld_ + channels);
      for (std::int64_t i = 0; i < pixels_; ++i)
        copy(get() + i * ld_, dense.data() + i * channels, c);
      return;
    }
    std::vector<float> all(static_cast<std::size_t>(pixels_) * ld, NAN);
    const auto offset = static_cast<std::size_t>(layout.offset);
    for (std::size_t i = 0; i < dense.size(); ++i) all[i / c * ld + offset + i % c] = dense[i];
    near_ = std::make_unique<DeviceBuffer<float>>(target, all.size());
    near_->set(all);
  }

  float* get() const { return far_ ? far_->get() : near_->get() + layout_.offset; }
  std::int64_t ld() const { return ld_; }
  int channels() const { return channels_; }

  /// [pixels, channels]. Fails if something was written between the pixels.
  std::vector<float> values() const {
    const auto c = static_cast<std::size_t>(channels_), ld = static_cast<std::size_t>(ld_);
    std::vector<float> dense(static_cast<std::size_t>(pixels_) * c);
    if (far_) {
      for (std::int64_t i = 0; i < pixels_; ++i)
        copy(dense.data() + i * channels_, get() + i * ld_, c);
      return dense;
    }
    const auto all = near_->values();
    const auto offset = static_cast<std::size_t>(layout_.offset);
    bool gaps_written = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % ld >= offset && i % ld < offset + c)
        dense[i / ld * c + i % ld - offset] = all[i];
      else
        gaps_written = gaps_written || !std::isnan(all[i]);
    }
    EXPECT_FALSE(gaps_written) << "a kernel wrote between its pixels";
    return dense;
  }

 private:
  void copy(float* to, const float* from, std::size_t floats) const {
    target_->runtime->copy(nullptr, to, from, floats * sizeof(float));
    target_->runtime->synchronise(0, nullptr);
  }

  const Target* target_;
  int channels_;
  PixelLayout layout_;
  std::int64_t pixels_;
  std::int64_t ld_;
  std::unique_ptr<DeviceBuffer<float>> near_;
  std::unique_ptr<FarMemory> far_;
};

class PixelTest : public TargetTest {
 protected:
  /// `dense` is [pixels, channels]; what belongs to others is NaN.
  PixelBuffer upload_pixels(const std::vector<float>& dense, int channels,
                            PixelLayout layout = {}) const {
    return {target(), dense, channels, layout};
  }

  /// An output of `size` elements in all, NaN before the call.
  PixelBuffer output_pixels(std::size_t size, int channels, PixelLayout layout = {}) const {
    return upload_pixels(std::vector<float>(size, NAN), channels, layout);
  }

  /// Waits, reads, and fails if something was written between the pixels.
  std::vector<float> download_pixels(const PixelBuffer& buffer) const {
    synchronise();
    return buffer.values();
  }
};

/// First line of a test with kFarPixels.
#define CURVSEG_SKIP_WITHOUT_FAR_MEMORY() \
  if (!FarMemory::is_there(target()))     \
  GTEST_SKIP() << "four tensors of 8 GiB, hardly touched, are not to be had here"

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
