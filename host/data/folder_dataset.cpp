#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>
#include <utility>

#include "curvseg/data.hpp"
#include "host/data/folder_files.hpp"
#include "host/data/parallel.hpp"
#include "host/io/folder.hpp"
#include "host/io/image.hpp"

namespace curvseg {
namespace {

namespace fs = std::filesystem;

std::string size_text(int height, int width) {
  return std::to_string(width) + "x" + std::to_string(height);
}

struct Entry {
  std::string stem;
  fs::path image;
  fs::path mask;  // empty: there is none
  int height = 0;
  int width = 0;
  int channels = 0;   // in the file
  bool wide = false;  // 16 bits per sample
  std::uintmax_t image_bytes = 0;
  std::uintmax_t mask_bytes = 0;
};

/// Of a file whose header was read.
std::uintmax_t file_bytes(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) {
    throw InputError(path.string() + ": " + error.message());
  }
  return bytes;
}

/// Those of `entries` that have one, which is all of them unless masks are `optional`.
void pair_masks(std::vector<Entry>& entries, const fs::path& images, const fs::path& masks,
                bool optional) {
  FilesByStem files = list_images(masks);
  for (Entry& entry : entries) {
    const auto mask = files.find(entry.stem);
    if (mask == files.end()) {
      if (optional) {
        continue;
      }
      throw InputError(entry.image.string() + ": no mask " + (masks / entry.stem).string() +
                       ".png");
    }
    entry.mask = mask->second;
    files.erase(mask);
  }
  if (!files.empty()) {
    throw InputError(files.begin()->second.string() + ": no image of the stem " +
                     files.begin()->first + " in " + images.string());
  }
}

/// Reads the headers of one pair.
void check_headers(Entry& entry) {
  const ImageInfo image = read_image_info(entry.image);
  entry.height = image.height;
  entry.width = image.width;
  entry.channels = image.channels;
  entry.wide = image.bit_depth == 16;
  entry.image_bytes = file_bytes(entry.image);
  if (entry.mask.empty()) {
    return;
  }
  const ImageInfo mask = read_image_info(entry.mask);
  entry.mask_bytes = file_bytes(entry.mask);
  if (!mask.is_index) {
    static_cast<void>(read_mask_png(entry.mask));  // throws with the precise reason
    throw InputError(entry.mask.string() + ": not a grey or palette PNG of 1 to 8 bits");
  }
  if (mask.height != image.height || mask.width != image.width) {
    throw InputError(entry.mask.string() + " is " + size_text(mask.height, mask.width) + ", " +
                     entry.image.string() + " is " + size_text(image.height, image.width));
  }
}

int common_channels(const std::vector<Entry>& entries) {
  const auto all_have = [&entries](int channels) {
    return std::all_of(entries.begin(), entries.end(),
                       [channels](const Entry& e) { return e.channels == channels; });
  };
  return all_have(1) ? 1 : all_have(4) ? 4 : 3;
}

/// Fits pixels to the channels of the set: see FolderDataset.
template <typename T>
std::vector<T> fit_channels(BasicImage<T> image, int channels) {
  if (image.channels == channels) {
    return std::move(image.pixels);
  }
  const auto from = static_cast<std::size_t>(image.channels);
  const auto to = static_cast<std::size_t>(channels);
  const std::size_t pixels = image.pixels.size() / from;
  std::vector<T> out(pixels * to);
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t c = 0; c < to; ++c) {
      out[i * to + c] = c == 3      ? static_cast<T>(-1)  // opaque
                        : from == 1 ? image.pixels[i]
                                    : image.pixels[i * from + c];
    }
  }
  return out;
}

/// A decoded sample as it is cached: the file's own precision is 2 to 4 times smaller than floats.
struct Decoded {
  std::vector<std::uint8_t> narrow;  // [H,W,C], when the file has up to 8 bits
  std::vector<std::uint16_t> wide;   // [H,W,C], when it has 16
  std::vector<std::uint8_t> mask;    // [H,W]; empty: there is none

  [[nodiscard]] std::size_t bytes() const { return narrow.size() + 2 * wide.size() + mask.size(); }
};

/// The file may have been replaced since its header was read.
void check_unchanged(const Entry& entry, const fs::path& path, int height, int width) {
  if (height != entry.height || width != entry.width) {
    throw InputError(path.string() + " is " + size_text(height, width) + ", it was " +
                     size_text(entry.height, entry.width) + " when the data set was opened");
  }
}

}  // namespace

struct FolderDataset::State {
  FolderOptions options;
  std::vector<Entry> entries;
  std::vector<std::string> class_names;
  int channels = 0;
  bool has_masks = true;
  ClassSource class_source = ClassSource::kOptions;

  mutable std::mutex mutex;  // guards what follows
  mutable std::vector<std::shared_ptr<const Decoded>> cache;
  mutable std::size_t cached_bytes = 0;
  mutable LabelCounts label_counts;

  [[nodiscard]] const Entry& entry(std::size_t index) const {
    if (index >= entries.size()) {
      throw Error(options.path.string() + ": sample " + std::to_string(index) + " of " +
                  std::to_string(entries.size()));
    }
    return entries[index];
  }

  [[nodiscard]] std::vector<std::uint8_t> decode_mask(const Entry& entry) const {
    MaskImage mask = read_mask_png(entry.mask);
    check_unchanged(entry, entry.mask, mask.height, mask.width);
    const int classes = static_cast<int>(class_names.size());
    for (const std::uint8_t index : mask.indices) {
      if (index >= classes && index != options.ignore_index) {
        throw InputError(entry.mask.string() + ": class index " + std::to_string(index) +
                         " is out of range, there are " + std::to_string(classes) +
                         " classes (0 to " + std::to_string(classes - 1) + ")" +
                         (options.ignore_index < 0
                              ? ""
                              : " and " + std::to_string(options.ignore_index) + " is ignored"));
      }
    }
    return std::move(mask.indices);
  }

  [[nodiscard]] Decoded decode(const Entry& entry) const {
    Decoded decoded;
    if (entry.wide) {
      Image16 image = read_image16(entry.image);
      check_unchanged(entry, entry.image, image.height, image.width);
      decoded.wide = fit_channels(std::move(image), channels);
    } else {
      Image image = read_image(entry.image);
      check_unchanged(entry, entry.image, image.height, image.width);
      decoded.narrow = fit_channels(std::move(image), channels);
    }
    if (!entry.mask.empty()) {
      decoded.mask = decode_mask(entry);
    }
    return decoded;
  }

  /// From the cache, or from the files; two threads that miss at once both decode, which is
  /// harmless.
  [[nodiscard]] std::shared_ptr<const Decoded> load(std::size_t index) const {
    const Entry& wanted = entry(index);
    {
      const std::scoped_lock lock(mutex);
      if (cache[index]) {
        return cache[index];
      }
    }
    auto decoded = std::make_shared<const Decoded>(decode(wanted));
    const std::scoped_lock lock(mutex);
    // First come, first kept: under shuffling every sample is equally likely to be asked for next,
    // so evicting one for another would gain nothing.
    if (!cache[index] && cached_bytes + decoded->bytes() <= options.cache_bytes) {
      cache[index] = decoded;
      cached_bytes += decoded->bytes();
    }
    return decoded;
  }
};

FolderDataset::FolderDataset(FolderOptions options) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.options = std::move(options);
  const fs::path& path = s.options.path;
  const int channels = s.options.channels;
  if (channels != 0 && channels != 1 && channels != 3 && channels != 4) {
    throw InputError(path.string() + ": " + std::to_string(channels) +
                     " channels asked for, images have 1, 3 or 4");
  }
  if (s.options.classes < 0 || s.options.classes > 256 || s.options.ignore_index > 255) {
    throw InputError(path.string() + ": " + std::to_string(s.options.classes) +
                     " classes and ignore index " + std::to_string(s.options.ignore_index) +
                     " asked for, masks have values from 0 to 255");
  }
  require_folder(path);
  const fs::path images = path / "images";
  const fs::path masks = path / "masks";
  for (const auto& [stem, file] : list_images(images)) {
    Entry entry;
    entry.stem = stem;
    entry.image = file;
    s.entries.push_back(std::move(entry));
  }
  if (s.entries.empty()) {
    throw InputError(images.string() + ": holds no PNG or JPEG file");
  }
  s.has_masks = !s.options.masks_optional || is_folder(masks);
  if (s.has_masks) {
    pair_masks(s.entries, images, masks, s.options.masks_optional);
  }
  for (Entry& entry : s.entries) {
    check_headers(entry);
  }
  s.channels = channels != 0 ? channels : common_channels(s.entries);
  for (const Entry& entry : s.entries) {
    if (s.channels == 1 && entry.channels != 1) {
      throw InputError(
          entry.image.string() + " has " + std::to_string(entry.channels) +
          " channels, and 1 is asked for, as by a network that was trained on grey images");
    }
  }
  s.class_names = read_class_names(path);
  int classes = s.options.classes;
  if (s.class_names.size() > 256) {
    throw InputError(path.string() + ": its classes.txt names " +
                     std::to_string(s.class_names.size()) +
                     " classes, masks have values from 0 to 255");
  }
  if (classes == 0 && !s.class_names.empty()) {
    classes = static_cast<int>(s.class_names.size());
    s.class_source = ClassSource::kNames;
  } else if (classes == 0) {
    classes = classes_of_masks(path, s.options.ignore_index);
    s.class_source = ClassSource::kMasks;
  }
  if (classes == 0 && s.has_masks) {
    throw InputError(masks.string() + ": every pixel of every mask is ignored (index " +
                     std::to_string(s.options.ignore_index) + ")");
  }
  for (auto i = s.class_names.size(); i < static_cast<std::size_t>(classes); ++i) {
    s.class_names.push_back("class " + std::to_string(i));
  }
  s.class_names.resize(static_cast<std::size_t>(classes));
  s.cache.resize(s.entries.size());
}

FolderDataset::~FolderDataset() = default;

std::size_t FolderDataset::size() const { return state_->entries.size(); }

Sample FolderDataset::get(std::size_t index) const {
  const Entry& entry = state_->entry(index);
  const std::shared_ptr<const Decoded> decoded = state_->load(index);
  Sample sample;
  sample.height = entry.height;
  sample.width = entry.width;
  sample.channels = state_->channels;
  sample.name = entry.stem;
  if (entry.wide) {
    sample.image.resize(decoded->wide.size());
    std::transform(decoded->wide.begin(), decoded->wide.end(), sample.image.begin(),
                   [](std::uint16_t value) { return static_cast<float>(value) / 65535.0F; });
  } else {
    sample.image.resize(decoded->narrow.size());
    std::transform(decoded->narrow.begin(), decoded->narrow.end(), sample.image.begin(),
                   [](std::uint8_t value) { return static_cast<float>(value) / 255.0F; });
  }
  const std::size_t pixels =
      static_cast<std::size_t>(entry.height) * static_cast<std::size_t>(entry.width);
  sample.labels.resize(pixels, kIgnoreLabel);
  const int ignore_index = state_->options.ignore_index;
  std::transform(decoded->mask.begin(), decoded->mask.end(), sample.labels.begin(),
                 [ignore_index](std::uint8_t value) {
                   return value == ignore_index ? kIgnoreLabel : std::int32_t{value};
                 });
  return sample;
}

ImageSize FolderDataset::image_size(std::size_t index) const {
  const Entry& entry = state_->entry(index);
  return {entry.height, entry.width};
}

std::string FolderDataset::identity(std::size_t index) const {
  const Entry& entry = state_->entry(index);
  return entry.stem + " " + size_text(entry.height, entry.width) + " " +
         std::to_string(entry.image_bytes) + " " + std::to_string(entry.mask_bytes);
}

int FolderDataset::channels() const { return state_->channels; }

int FolderDataset::classes() const { return static_cast<int>(state_->class_names.size()); }

std::vector<std::string> FolderDataset::class_names() const { return state_->class_names; }

std::string FolderDataset::name() const { return state_->options.path.string(); }

void FolderDataset::validate_pixels() const {
  LabelCounts total{std::vector<std::uint64_t>(state_->has_masks ? state_->class_names.size() : 0),
                    0};
  std::mutex mutex;
  parallel_for_each_index(size(), [&](std::size_t index) {
    std::array<std::uint64_t, 256> counts{};
    for (const std::uint8_t value : state_->load(index)->mask) {
      ++counts[value];
    }
    const std::scoped_lock lock(mutex);
    for (std::size_t value = 0; value < counts.size(); ++value) {
      const bool ignored = static_cast<int>(value) == state_->options.ignore_index;
      if (ignored) {
        total.not_labelled += counts[value];
      } else if (value < total.of_class.size()) {
        total.of_class[value] += counts[value];
      }
    }
  });
  const std::scoped_lock lock(state_->mutex);
  state_->label_counts = std::move(total);
}

LabelCounts FolderDataset::label_counts() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->label_counts;
}

ClassSource FolderDataset::class_source() const { return state_->class_source; }

bool FolderDataset::has_masks() const { return state_->has_masks; }

}  // namespace curvseg
