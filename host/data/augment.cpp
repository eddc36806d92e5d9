#include "host/data/augment.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "host/data/random.hpp"

namespace curvseg {
namespace {

/// Where one output coordinate of the scaled image lies in the source.
struct Tap {
  int first = 0;     // left (upper) neighbour
  int second = 0;    // right (lower) neighbour
  float weight = 0;  // of the second
  int nearest = 0;
  bool inside = false;
};

/// The random choices of one call.
struct Geometry {
  int height = 0;  // of the output
  int width = 0;
  std::vector<Tap> rows;  // [height], before flips and rotation
  std::vector<Tap> columns;
  bool flip_y = false;
  bool flip_x = false;
  int quarter_turns = 0;

  /// The row and column before flips and rotation of output pixel (@p y, @p x).
  [[nodiscard]] std::pair<int, int> origin(int y, int x) const {
    for (int turn = 0; turn < quarter_turns; turn += quarter_turns == 2 ? 2 : 1) {
      if (quarter_turns == 2) {
        y = height - 1 - y;
        x = width - 1 - x;
      } else {  // square: a counter-clockwise turn took (x, n-1-y) to (y, x)
        const int row = x;
        x = height - 1 - y;
        y = row;
      }
    }
    return {flip_y ? height - 1 - y : y, flip_x ? width - 1 - x : x};
  }
};

/// Taps of one axis: @p output pixels, the first of which is pixel @p start of the source magnified
/// from @p source to @p scaled pixels.
std::vector<Tap> make_taps(int source, int scaled, int output, int start) {
  std::vector<Tap> taps(static_cast<std::size_t>(output));
  const double step = static_cast<double>(source) / scaled;
  for (int i = 0; i < output; ++i) {
    const int at = start + i;
    if (at < 0 || at >= scaled) {
      continue;
    }
    const double center = (at + 0.5) * step;
    const double position = std::clamp(center - 0.5, 0.0, static_cast<double>(source - 1));
    Tap& tap = taps[static_cast<std::size_t>(i)];
    tap.first = static_cast<int>(position);
    tap.second = std::min(tap.first + 1, source - 1);
    tap.weight = static_cast<float>(position - tap.first);
    tap.nearest = std::min(static_cast<int>(center), source - 1);
    tap.inside = true;
  }
  return taps;
}

/// First pixel of the scaled image in the output: a random crop, or (negative) a random place.
int draw_start(int scaled, int output, Random& random) {
  if (scaled >= output) {
    return static_cast<int>(random.below(static_cast<std::uint64_t>(scaled - output) + 1));
  }
  return -static_cast<int>(random.below(static_cast<std::uint64_t>(output - scaled) + 1));
}

Geometry draw_geometry(const Augment& augment, ImageSize image, std::uint64_t seed) {
  // Every number is drawn whether it is used or not, each from its own stream: switching one
  // option on does not change the choices of the others.
  enum Stream : std::uint64_t { kScale, kTop, kLeft, kFlipX, kFlipY, kRotate };
  const auto stream = [seed](Stream which) { return Random{seed, which}; };
  const double scale = stream(kScale).uniform(static_cast<double>(augment.scale_min),
                                              static_cast<double>(augment.scale_max));
  const auto scaled = [scale](int extent) {
    return static_cast<int>(std::max(1L, std::lround(scale * extent)));
  };
  const ImageSize size = augmented_size(augment, image);
  Random top = stream(kTop);
  Random left = stream(kLeft);
  Geometry g;
  g.height = size.height;
  g.width = size.width;
  const int sh = scaled(image.height);
  const int sw = scaled(image.width);
  g.rows = make_taps(image.height, sh, g.height, draw_start(sh, g.height, top));
  g.columns = make_taps(image.width, sw, g.width, draw_start(sw, g.width, left));
  g.flip_x = augment.flip_horizontal && stream(kFlipX).coin();
  g.flip_y = augment.flip_vertical && stream(kFlipY).coin();
  if (augment.rotate) {
    const int turns = static_cast<int>(stream(kRotate).below(4));
    g.quarter_turns = g.height == g.width ? turns : turns / 2 * 2;
  }
  return g;
}

bool changes_nothing(const Augment& augment, const Sample& sample) {
  return augmented_size(augment, {sample.height, sample.width}) ==
             ImageSize{sample.height, sample.width} &&
         !augment.flip_horizontal && !augment.flip_vertical && !augment.rotate &&
         augment.scale_min == 1.0F && augment.scale_max == 1.0F;
}

std::string text(float value) { return std::to_string(static_cast<double>(value)); }

}  // namespace

void check_augment(const Augment& augment) {
  if (augment.crop_height < 0 || augment.crop_width < 0) {
    throw InputError("augment: a crop of " + std::to_string(augment.crop_width) + "x" +
                     std::to_string(augment.crop_height));
  }
  if (!(augment.scale_min > 0.0F) || !(augment.scale_max >= augment.scale_min) ||
      !(augment.scale_max <= 64.0F)) {
    throw InputError("augment: scale from " + text(augment.scale_min) + " to " +
                     text(augment.scale_max) + ", expected 0 < minimum <= maximum <= 64");
  }
}

void check_normalisation(const Normalisation& normalisation, int channels) {
  const auto expected = static_cast<std::size_t>(channels);
  const auto fits = [expected](const std::vector<float>& v) {
    return v.empty() || v.size() == expected;
  };
  if (!fits(normalisation.mean) || !fits(normalisation.stddev)) {
    throw InputError("normalisation: " + std::to_string(normalisation.mean.size()) + " means and " +
                     std::to_string(normalisation.stddev.size()) + " deviations, the images have " +
                     std::to_string(channels) + " channels");
  }
  for (const float value : normalisation.mean) {
    if (!std::isfinite(value)) {
      throw InputError("normalisation: mean " + text(value) + " is not finite");
    }
  }
  for (const float value : normalisation.stddev) {
    if (!(value > 0.0F) || !std::isfinite(value)) {
      throw InputError("normalisation: standard deviation " + text(value) +
                       " is not positive and finite");
    }
  }
}

void append_normalised(std::vector<float>& out, const std::vector<float>& image,
                       const Normalisation& normalisation, std::size_t channels) {
  const std::size_t start = out.size();
  out.insert(out.end(), image.begin(), image.end());
  for (std::size_t c = 0; c < channels; ++c) {
    const float mean = normalisation.mean.empty() ? 0.0F : normalisation.mean[c];
    const float stddev = normalisation.stddev.empty() ? 1.0F : normalisation.stddev[c];
    for (std::size_t i = start + c; i < out.size(); i += channels) {
      out[i] = (out[i] - mean) / stddev;
    }
  }
}

ImageSize augmented_size(const Augment& augment, ImageSize image) {
  return {augment.crop_height > 0 ? augment.crop_height : image.height,
          augment.crop_width > 0 ? augment.crop_width : image.width};
}

Sample augment(const Sample& sample, const Augment& augment, std::uint64_t seed,
               const Normalisation& normalisation) {
  check_augment(augment);
  check_normalisation(normalisation, sample.channels);
  if (changes_nothing(augment, sample)) {
    return sample;
  }
  const Geometry g = draw_geometry(augment, {sample.height, sample.width}, seed);
  const auto channels = static_cast<std::size_t>(sample.channels);
  const auto width = static_cast<std::size_t>(sample.width);
  const bool label_map =
      sample.labels.size() == static_cast<std::size_t>(sample.height) * width && g.height > 0;
  const std::size_t pixels = static_cast<std::size_t>(g.height) * static_cast<std::size_t>(g.width);
  const auto from = [&](int y, int x) {
    return static_cast<std::size_t>(y) * width + static_cast<std::size_t>(x);
  };
  Sample out;
  out.height = g.height;
  out.width = g.width;
  out.channels = sample.channels;
  out.name = sample.name;
  out.image.resize(pixels * channels);
  if (label_map) {
    out.labels.assign(pixels, kIgnoreLabel);
  } else {
    out.labels = sample.labels;
  }
  std::size_t pixel = 0;
  for (int y = 0; y < g.height; ++y) {
    for (int x = 0; x < g.width; ++x, ++pixel) {
      const auto [row, column] = g.origin(y, x);
      const Tap& v = g.rows[static_cast<std::size_t>(row)];
      const Tap& h = g.columns[static_cast<std::size_t>(column)];
      float* to = out.image.data() + pixel * channels;
      if (!v.inside || !h.inside) {
        for (std::size_t c = 0; c < channels; ++c) {
          to[c] = normalisation.mean.empty() ? 0.0F : normalisation.mean[c];
        }
        continue;
      }
      const float* a = sample.image.data() + from(v.first, h.first) * channels;
      const float* b = sample.image.data() + from(v.first, h.second) * channels;
      const float* d = sample.image.data() + from(v.second, h.first) * channels;
      const float* e = sample.image.data() + from(v.second, h.second) * channels;
      for (std::size_t c = 0; c < channels; ++c) {
        const float upper = a[c] + h.weight * (b[c] - a[c]);
        const float lower = d[c] + h.weight * (e[c] - d[c]);
        to[c] = upper + v.weight * (lower - upper);
      }
      if (label_map) {
        out.labels[pixel] = sample.labels[from(v.nearest, h.nearest)];
      }
    }
  }
  return out;
}

}  // namespace curvseg
