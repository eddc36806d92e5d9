/// \file
/// What a training writes before it has a checkpoint.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/cli/run_folder.hpp"

namespace curvseg::cli {

/// metrics.jsonl and options.json of a training until its first checkpoint is on disk. Where the
/// folder holds older ones they are written beside those, as metrics.jsonl.new and
/// options.json.new. Unless settle() or keep() is called, the destructor removes them, and the
/// folders that were made for them: what fails at its start leaves everything as it was.
class ProvisionalFiles {
 public:
  ProvisionalFiles() = default;
  ~ProvisionalFiles();
  ProvisionalFiles(const ProvisionalFiles&) = delete;
  ProvisionalFiles& operator=(const ProvisionalFiles&) = delete;

  /// \throws InputError when the folder cannot be made.
  void make_folder(const RunPaths& paths);
  /// Decides on the names and writes the options. The folder is ours by now.
  void begin(const std::string& options);
  /// Where the metrics are until settle().
  [[nodiscard]] std::filesystem::path metrics() const;

  /// The first checkpoint is there: the files take the place of the older ones.
  /// \throws Error when one cannot be renamed.
  void settle();
  /// They stay without a checkpoint, unless an older one is there, with files of its own.
  /// \throws Error when one cannot be renamed.
  void keep();
  [[nodiscard]] bool settled() const { return settled_; }

 private:
  [[nodiscard]] std::filesystem::path options() const;

  RunPaths paths_;
  std::vector<std::filesystem::path> made_;  // folders, the innermost first
  bool begun_ = false;
  bool beside_ = false;  // older files
  bool older_checkpoint_ = false;
  bool settled_ = false;
};

}  // namespace curvseg::cli
