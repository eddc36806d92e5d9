#include "host/cli/crop_and_augment.hpp"

#include <spdlog/fmt/fmt.h>
#include <cmath>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace curvseg::cli {
namespace {

template <class T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

ImageSize largest_image(const Dataset& dataset) {
  ImageSize largest;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const ImageSize size = dataset.image_size(i);
    largest.height = std::max(largest.height, size.height);
    largest.width = std::max(largest.width, size.width);
  }
  return largest;
}

constexpr int kMostPixels = 1 << 14;

[[noreturn]] void refuse_crop(const std::string& text) {
  throw InputError(
      fmt::format("--crop {}: must be auto, none, a number of pixels from 1 to {}, or WIDTHxHEIGHT "
                  "such as 160x120",
                  text, kMostPixels));
}

void set_scale(Augment& augment, std::string_view range, const std::string& all) {
  const std::size_t colon = range.find(':');
  const auto low = parse<float>(range.substr(0, colon));
  const auto high = colon == std::string_view::npos ? low : parse<float>(range.substr(colon + 1));
  if (!low || !high || !(*low > 0.0F) || !(*low <= *high) || !(*high <= 16.0F)) {
    throw InputError("--augment " + all + ": scale takes a range such as scale=0.8:1.25");
  }
  augment.scale_min = *low;
  augment.scale_max = *high;
}

}  // namespace

void set_crop(Augment& augment, const std::string& text, const Dataset& train) {
  augment.crop_height = 0;
  augment.crop_width = 0;
  if (text == "none" || text == "0" || (text == "auto" && train.is_classification())) {
    return;
  }
  if (train.is_classification()) {
    throw InputError("--crop " + text + ": a classifier sees whole images, " + train.name() +
                     " has one label per image");
  }
  if (text == "auto") {
    constexpr int kSide = 128;  // large enough for the context a U-Net of depth 3 can use
    const ImageSize largest = largest_image(train);
    augment.crop_height = std::min(kSide, largest.height);
    augment.crop_width = std::min(kSide, largest.width);
    return;
  }
  const std::size_t x = text.find('x');
  const auto width = parse<int>(std::string_view(text).substr(0, x));
  const auto height =
      x == std::string::npos ? width : parse<int>(std::string_view(text).substr(x + 1));
  const auto fits = [](std::optional<int> side) { return side >= 1 && side <= kMostPixels; };
  if (!fits(width) || !fits(height)) {
    refuse_crop(text);
  }
  augment.crop_height = *height;
  augment.crop_width = *width;
}

std::string crop_text(const Augment& augment) {
  return augment.crop_height == 0 ? "none"
                                  : fmt::format("{}x{}", augment.crop_width, augment.crop_height);
}

void set_augmentation(Augment& augment, const std::string& text, const Dataset& train) {
  Augment chosen;
  chosen.crop_height = augment.crop_height;
  chosen.crop_width = augment.crop_width;
  if (text == "auto") {
    // The one change that hardly any picture minds; letters and digits do.
    chosen.flip_horizontal = !train.is_classification();
  } else if (text != "none") {
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      if (item == "flip") {
        chosen.flip_horizontal = true;
      } else if (item == "vflip") {
        chosen.flip_vertical = true;
      } else if (item == "rotate") {
        chosen.rotate = true;
      } else if (item.starts_with("scale=")) {
        set_scale(chosen, item.substr(6), text);
      } else {
        throw InputError("--augment " + text + ": \"" + std::string(item) +
                         "\" is not understood, there are flip, vflip, rotate and scale=LOW:HIGH");
      }
    }
  }
  augment = chosen;
}

std::string augmentation_text(const Augment& augment) {
  std::string text;
  const auto add = [&text](bool wanted, const std::string& name) {
    text += wanted ? (text.empty() ? "" : ",") + name : "";
  };
  add(augment.flip_horizontal, "flip");
  add(augment.flip_vertical, "vflip");
  add(augment.rotate, "rotate");
  add(augment.scale_min != 1.0F || augment.scale_max != 1.0F,
      fmt::format("scale={}:{}", augment.scale_min, augment.scale_max));
  return text.empty() ? "none" : text;
}

std::size_t crops_per_epoch(const Augment& augment, const Dataset& train) {
  if (augment.crop_height == 0) {
    return 0;
  }
  double pixels = 0.0;
  for (std::size_t i = 0; i < train.size(); ++i) {
    const ImageSize size = train.image_size(i);
    pixels += static_cast<double>(size.height) * size.width;
  }
  const double crop = static_cast<double>(augment.crop_height) * augment.crop_width;
  return std::max(train.size(), static_cast<std::size_t>(std::lround(pixels / crop)));
}

}  // namespace curvseg::cli
