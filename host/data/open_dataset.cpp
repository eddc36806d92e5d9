#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "curvseg/data.hpp"
#include "host/data/record_datasets.hpp"
#include "host/io/folder.hpp"

namespace curvseg {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {"train", "val", "test"};

/// The rest of @p spec after @p prefix; nothing when it does not start so.
std::optional<std::string> after_prefix(const std::string& spec, std::string_view prefix) {
  if (!spec.starts_with(prefix)) {
    return std::nullopt;
  }
  return spec.substr(prefix.size());
}

/// The folder behind the prefix, if @p spec has that.
std::optional<std::string> folder_after(const std::string& spec, const std::string& prefix) {
  std::optional<std::string> folder = after_prefix(spec, prefix);
  if (folder && folder->empty()) {
    throw InputError(spec + ": names no folder, as " + prefix + "FOLDER does");
  }
  return folder;
}

struct CellsSpec {
  int size = 128;
  std::uint64_t seed = 1;
  std::array<std::size_t, 3> counts = {64, 16, 16};  // in the order of kSplits
};

std::uint64_t parse_number(const std::string& spec, std::string_view key, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw InputError(spec + ": " + std::string(key) + "=" + std::string(text) +
                     " is not a whole number");
  }
  return value;
}

void set_cells_option(CellsSpec& cells, const std::string& spec, std::string_view key,
                      std::uint64_t value) {
  constexpr std::uint64_t kMaxCount = 10'000'000;
  if (key == "size" && value >= 32 && value <= 4096) {
    cells.size = static_cast<int>(value);
  } else if (key == "size") {
    throw InputError(spec + ": size=" + std::to_string(value) + " is not in 32..4096");
  } else if (key == "seed") {
    cells.seed = value;
  } else if (value > kMaxCount) {
    throw InputError(spec + ": " + std::string(key) + "=" + std::to_string(value) +
                     " is more than " + std::to_string(kMaxCount));
  } else {
    for (std::size_t i = 0; i < kSplits.size(); ++i) {
      if (key == kSplits[i]) {
        cells.counts[i] = value;
      }
    }
  }
}

/// Parses what follows `builtin:`, such as `cells?size=128&seed=1`.
CellsSpec parse_builtin(const std::string& spec, std::string_view text) {
  const auto question = text.find('?');
  if (text.substr(0, question) != "cells") {
    throw InputError(spec + ": no such built-in data set, there is builtin:cells");
  }
  CellsSpec cells;
  text = question == std::string_view::npos ? std::string_view() : text.substr(question + 1);
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const auto equals = item.find('=');
    const std::string_view key = item.substr(0, equals);
    static constexpr std::array kKeys = {"size", "train", "val", "test", "seed"};
    bool known = false;
    for (const char* each : kKeys) {
      known = known || key == each;
    }
    if (!known || equals == std::string_view::npos) {
      throw InputError(spec + ": option \"" + std::string(item) +
                       "\" is not understood, there are size, train, val, test and seed (=number)");
    }
    set_cells_option(cells, spec, key, parse_number(spec, key, item.substr(equals + 1)));
  }
  return cells;
}

/// Samples of @p split, 0 for an unknown split.
std::size_t cells_count(const CellsSpec& cells, const std::string& split) {
  for (std::size_t i = 0; i < kSplits.size(); ++i) {
    if (split == kSplits[i]) {
      return cells.counts[i];
    }
  }
  return 0;
}

/// The folders train, val and test that exist in @p folder, for messages.
std::string list_splits(const fs::path& folder) {
  std::string list;
  for (const char* split : kSplits) {
    if (is_folder(folder / split)) {
      list += (list.empty() ? "" : ", ") + std::string(split);
    }
  }
  return list.empty() ? "none of train, val, test is there" : "there is " + list;
}

/// A data set that knows its classes and has a label for everything, unless the options say
/// otherwise.
std::unique_ptr<Dataset> with_own_classes(std::unique_ptr<Dataset> dataset,
                                          const DatasetOptions& options) {
  if (options.classes != 0 && options.classes != dataset->classes()) {
    throw InputError(dataset->name() + ": has " + std::to_string(dataset->classes()) +
                     " classes, not " + std::to_string(options.classes));
  }
  if (options.ignore_index >= 0 && options.ignore_index != DatasetOptions{}.ignore_index) {
    throw InputError(dataset->name() + ": has no pixels without a label, so no index " +
                     std::to_string(options.ignore_index) + " can mean that");
  }
  return dataset;
}

}  // namespace

bool has_split(const std::string& spec, const std::string& split) {
  if (const auto text = after_prefix(spec, "builtin:")) {
    return cells_count(parse_builtin(spec, *text), split) > 0;
  }
  if (const auto folder = folder_after(spec, "cifar10:")) {
    return cifar10_has_split(*folder, split);
  }
  if (const auto folder = folder_after(spec, "mnist:")) {
    return mnist_has_split(*folder, split);
  }
  require_folder(spec);
  return is_folder(fs::path(spec) / (split.empty() ? "images" : split));
}

std::unique_ptr<Dataset> open_dataset(const std::string& spec, const std::string& split,
                                      const DatasetOptions& options) {
  if (const auto text = after_prefix(spec, "builtin:")) {
    const CellsSpec cells = parse_builtin(spec, *text);
    const std::size_t count = cells_count(cells, split);
    if (count == 0) {
      throw InputError(spec + ": no split \"" + split + "\"");
    }
    return with_own_classes(
        std::make_unique<CellsDataset>(CellsOptions{split, cells.size, count, cells.seed}),
        options);
  }
  if (const auto folder = folder_after(spec, "cifar10:")) {
    return with_own_classes(make_record_dataset(read_cifar10(*folder, split)), options);
  }
  if (const auto folder = folder_after(spec, "mnist:")) {
    return with_own_classes(make_record_dataset(read_mnist(*folder, split, options.classes)),
                            options);
  }
  if (!has_split(spec, split) && !split.empty()) {
    throw InputError((fs::path(spec) / split).string() + ": no such split, " + list_splits(spec));
  }
  FolderOptions folder;
  folder.path = split.empty() ? fs::path(spec) : fs::path(spec) / split;
  folder.channels = options.channels;
  folder.classes = options.classes;
  folder.ignore_index = options.ignore_index;
  folder.cache_bytes = options.cache_bytes;
  folder.masks_optional = options.masks_optional;
  return std::make_unique<FolderDataset>(std::move(folder));
}

}  // namespace curvseg
