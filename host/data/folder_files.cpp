#include "host/data/folder_files.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <string_view>

#include "curvseg/error.hpp"
#include "host/data/parallel.hpp"
#include "host/io/folder.hpp"
#include "host/io/image.hpp"

namespace curvseg {
namespace {

namespace fs = std::filesystem;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return extension;
}

/// Largest index of the mask that is a class; -1 when all is void.
int largest_class(const fs::path& mask, int ignore_index) {
  int largest = -1;
  for (const std::uint8_t index : read_mask_png(mask).indices) {
    if (index != ignore_index) {
      largest = std::max(largest, static_cast<int>(index));
    }
  }
  return largest;
}

/// The masks of @p split and of its siblings.
std::vector<fs::path> masks_of_all_splits(const fs::path& split) {
  static constexpr std::array kSplits = {"train", "val", "test"};
  const fs::path folder = split.has_filename() ? split : split.parent_path();
  std::vector<fs::path> folders{folder};
  if (std::find(kSplits.begin(), kSplits.end(), folder.filename().string()) != kSplits.end()) {
    folders.clear();
    for (const char* name : kSplits) {
      folders.push_back(folder.parent_path() / name);
    }
  }
  std::vector<fs::path> masks;
  for (const fs::path& each : folders) {
    if (is_folder(each / "masks")) {
      for (const auto& [stem, path] : list_images(each / "masks")) {
        masks.push_back(path);
      }
    }
  }
  return masks;
}

/// What some editors put in front of UTF-8.
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Whether @p text is UTF-8 as Unicode defines it: no overlong forms, no surrogates.
bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t more = lead < 0x80                    ? 0
                             : lead >= 0xC2 && lead <= 0xDF ? 1
                             : lead >= 0xE0 && lead <= 0xEF ? 2
                             : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                            : text.size();
    if (more >= text.size() - i) {
      return false;
    }
    for (std::size_t k = 1; k <= more; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      const int lowest = k > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const int highest = k > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte < lowest || byte > highest) {
        return false;
      }
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

FilesByStem list_images(const fs::path& folder) {
  static constexpr std::array kReadable = {".png", ".jpg", ".jpeg"};
  static constexpr std::array kOther = {".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm", ".ppm"};
  FilesByStem files;
  for (const fs::path& path : list_files(folder)) {
    const std::string extension = lower_extension(path);
    if (std::find(kOther.begin(), kOther.end(), extension) != kOther.end()) {
      throw InputError(path.string() + ": only PNG and JPEG files can be read");
    }
    if (std::find(kReadable.begin(), kReadable.end(), extension) == kReadable.end()) {
      continue;
    }
    const auto [other, added] = files.emplace(path.stem().string(), path);
    if (!added) {
      throw InputError(other->second.string() + " and " + path.filename().string() +
                       " have the same stem: which of them is meant?");
    }
  }
  return files;
}

int classes_of_masks(const fs::path& split, int ignore_index) {
  const std::vector<fs::path> masks = masks_of_all_splits(split);
  std::vector<int> largest(masks.size(), -1);
  parallel_for_each_index(
      masks.size(), [&](std::size_t i) { largest[i] = largest_class(masks[i], ignore_index); });
  const auto result = std::max_element(largest.begin(), largest.end());
  return result == largest.end() ? 0 : *result + 1;
}

std::vector<std::string> read_class_names(const fs::path& split) {
  const fs::path folder = split.has_filename() ? split : split.parent_path();
  for (const fs::path& place : {folder, folder.parent_path()}) {
    std::ifstream file(place / "classes.txt");
    std::vector<std::string> names;
    int number = 0;
    for (std::string line; std::getline(file, line);) {
      if (++number == 1 && line.starts_with(kByteOrderMark)) {
        line.erase(0, kByteOrderMark.size());
      }
      if (!is_utf8(line)) {
        throw InputError((place / "classes.txt").string() + ": line " + std::to_string(number) +
                         " is not UTF-8, save the file in that encoding");
      }
      while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) {
        line.pop_back();
      }
      if (!line.empty()) {
        names.push_back(line);
      }
    }
    if (!names.empty()) {
      return names;
    }
  }
  return {};
}

}  // namespace curvseg
