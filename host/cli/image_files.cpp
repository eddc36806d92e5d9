// Images that are not part of a data set: the files that `curvseg predict` is given.
#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "host/cli/inputs.hpp"
#include "host/io/folder.hpp"
#include "host/io/image.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

/// Samples of one file each, decoded when asked for, without labels.
class ImageFiles final : public Dataset {
 public:
  ImageFiles(std::vector<fs::path> files, const TrainingState& state)
      : files_(std::move(files)),
        channels_(state.in_channels),
        classes_(state.classes),
        is_classification_(make_model(state).is_classifier()),
        class_names_(state.class_names) {
    std::map<std::string, fs::path> stems;  // predictions are named after them
    for (const fs::path& file : files_) {
      const ImageInfo info = read_image_info(file);
      if (channels_ == 1 && info.channels != 1) {
        throw InputError(file.string() + " has " + std::to_string(info.channels) +
                         " channels, the model was trained for 1");
      }
      const auto [other, added] = stems.emplace(file.stem().string(), file);
      if (!added) {
        throw InputError(other->second.string() + " and " + file.filename().string() +
                         " have the same stem, their predictions would have one name");
      }
      sizes_.push_back({info.height, info.width});
    }
  }

  std::size_t size() const override { return files_.size(); }
  ImageSize image_size(std::size_t index) const override { return sizes_.at(index); }
  int channels() const override { return channels_; }
  int classes() const override { return classes_; }
  std::vector<std::string> class_names() const override { return class_names_; }
  bool is_classification() const override { return is_classification_; }
  std::string name() const override {
    return (files_.size() == 1 ? files_.front() : files_.front().parent_path()).string();
  }

  Sample get(std::size_t index) const override {
    const Image16 image = read_image16(files_.at(index));
    Sample sample;
    sample.height = image.height;
    sample.width = image.width;
    sample.channels = channels_;
    sample.name = files_[index].stem().string();
    const auto from = static_cast<std::size_t>(image.channels);
    const auto to = static_cast<std::size_t>(channels_);
    const std::size_t pixels = image.pixels.size() / from;
    sample.image.resize(pixels * to);
    for (std::size_t i = 0; i < pixels; ++i) {
      for (std::size_t c = 0; c < to; ++c) {
        const bool is_opaque = c == 3 && from < 4;
        const std::uint16_t value =
            is_opaque ? 65535 : image.pixels[i * from + (from >= 3 ? c : 0)];
        sample.image[i * to + c] = static_cast<float>(value) / 65535.0F;
      }
    }
    sample.labels.assign(is_classification_ ? 1 : pixels, kIgnoreLabel);
    return sample;
  }

 private:
  std::vector<fs::path> files_;
  int channels_;
  int classes_;
  bool is_classification_;
  std::vector<std::string> class_names_;
  std::vector<ImageSize> sizes_;
};

bool has_image_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array kExtensions = {".png", ".jpg", ".jpeg"};
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

}  // namespace

ImageFolder list_image_files(const fs::path& folder) {
  ImageFolder found;
  for (const fs::path& path : list_files(folder)) {
    (has_image_extension(path) ? found.images : found.others).push_back(path);
  }
  return found;
}

std::shared_ptr<const Dataset> open_image_files(const std::vector<fs::path>& files,
                                                const TrainingState& state) {
  return std::make_shared<ImageFiles>(files, state);
}

}  // namespace curvseg::cli
