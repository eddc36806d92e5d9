/// \file
/// The folder of a training: checkpoints, options.json, metrics.jsonl, pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "host/cli/inputs.hpp"

namespace curvseg::cli {

/// Keys stay in the order in which they were put in: people read these files too.
using Json = nlohmann::ordered_json;

/// @p json as text. What is not UTF-8 in it (the name of a file may be anything) is replaced.
std::string to_text(const Json& json, int indent = -1);

/// Where the files of a training lie in its folder.
struct RunPaths {
  std::filesystem::path folder;
  [[nodiscard]] std::filesystem::path checkpoint() const {
    return folder / "checkpoint.safetensors";
  }
  [[nodiscard]] std::filesystem::path best() const { return folder / "best.safetensors"; }
  [[nodiscard]] std::filesystem::path metrics() const { return folder / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path options() const { return folder / "options.json"; }
  [[nodiscard]] std::filesystem::path gallery() const { return folder / "gallery.png"; }
  [[nodiscard]] std::filesystem::path overlays() const { return folder / "overlays"; }
};

/// "runs/cells-1": after the data set, with the first number that is free.
std::filesystem::path new_run_folder(const std::string& spec);

/// Leaves nothing on disk.
/// \throws InputError when @p folder is something else, or could not be made or written to.
void check_writable_folder(const std::filesystem::path& folder);

/// The folder, and that no folder stands where one of @p files is to be written in it.
void check_writable_files(const std::filesystem::path& folder,
                          std::initializer_list<const char*> files);

/// \throws InputError when it cannot be made.
void make_folder(const std::filesystem::path& folder);

/// Keeps a folder for one training. It ends with the process, however that ends: a training that
/// was killed keeps nobody out, and no file stays behind.
class FolderLock {
 public:
  FolderLock() = default;
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Takes @p folder, unless it is taken here or is not there yet.
  /// \throws InputError when another training has it.
  void take(const std::filesystem::path& folder);

 private:
  int file_ = -1;
};

/// What a training recorded about its data in the folder of @p checkpoint; nothing when there is no
/// options.json. \throws InputError when it is damaged.
std::optional<DataSettings> read_data_settings(const std::filesystem::path& checkpoint);

Json to_json(const DataSettings& settings);

/// The lines of a metrics.jsonl that say nothing about a step behind @p step: those steps come
/// again. A last line that was cut off is dropped; of a file that is not there, there are none.
std::string metrics_until(const std::filesystem::path& path, std::uint64_t step);

/// metrics.jsonl: one JSON object a line, each on disk before the next step. It stays open when it
/// is renamed.
class MetricsLog {
 public:
  /// Starts a new file with @p lines.
  MetricsLog(const std::filesystem::path& path, bool echo, const std::string& lines = {});

  /// \throws Error when the file cannot be written to.
  void write(const Json& line);

 private:
  std::filesystem::path path_;
  bool echo_;  // on stdout too
  std::ofstream file_;
};

}  // namespace curvseg::cli
