#include "host/cli/provisional_files.hpp"

#include <algorithm>
#include <system_error>

#include "curvseg/error.hpp"
#include "host/io/atomic_file.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

fs::path beside(fs::path path) { return path += ".new"; }

void rename_onto(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    throw Error(to.string() + ": cannot be replaced: " + error.message());
  }
}

}  // namespace

ProvisionalFiles::~ProvisionalFiles() {
  if (settled_) {
    return;
  }
  std::error_code error;
  if (begun_) {
    fs::remove(metrics(), error);
    fs::remove(options(), error);
  }
  for (const fs::path& folder : made_) {
    fs::remove(folder, error);  // not if somebody else has put something there
  }
}

void ProvisionalFiles::make_folder(const RunPaths& paths) {
  paths_ = paths;
  std::error_code error;
  for (fs::path folder = fs::absolute(paths.folder).lexically_normal();
       !fs::exists(folder, error) && folder.has_relative_path(); folder = folder.parent_path()) {
    made_.push_back(folder);
  }
  cli::make_folder(paths.folder);
}

void ProvisionalFiles::begin(const std::string& options_text) {
  const auto is_there = [](const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
  };
  older_checkpoint_ = is_there(paths_.checkpoint()) || is_there(paths_.best());
  beside_ = older_checkpoint_ || is_there(paths_.metrics()) || is_there(paths_.options());
  begun_ = true;
  write_file_atomically(options(), options_text);
}

fs::path ProvisionalFiles::metrics() const {
  return beside_ ? beside(paths_.metrics()) : paths_.metrics();
}

fs::path ProvisionalFiles::options() const {
  return beside_ ? beside(paths_.options()) : paths_.options();
}

void ProvisionalFiles::settle() {
  if (beside_) {
    rename_onto(options(), paths_.options());
    rename_onto(metrics(), paths_.metrics());
  }
  beside_ = false;
  settled_ = true;
}

void ProvisionalFiles::keep() {
  if (!settled_ && !older_checkpoint_) {
    settle();
  }
}

}  // namespace curvseg::cli
