#include "host/io/folder.hpp"

#include <algorithm>
#include <system_error>

#include "curvseg/error.hpp"

namespace curvseg {
namespace {

namespace fs = std::filesystem;

/// fs::status() that distinguishes a path that is not there from one that cannot be followed.
fs::file_type file_type(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::none) {
    throw InputError(path.string() + ": cannot be looked at: " + error.message());
  }
  return type;
}

}  // namespace

void require_folder(const fs::path& folder) {
  const fs::file_type type = file_type(folder);
  if (type == fs::file_type::not_found) {
    throw InputError(folder.string() + ": no such folder");
  }
  if (type != fs::file_type::directory) {
    throw InputError(folder.string() + ": not a folder");
  }
}

bool is_folder(const fs::path& path) { return file_type(path) == fs::file_type::directory; }

std::vector<fs::path> list_files(const fs::path& folder) {
  require_folder(folder);
  std::vector<fs::path> files;
  std::error_code error;
  auto entry = fs::directory_iterator(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path& path = entry->path();
    if (!path.filename().string().starts_with(".") && file_type(path) != fs::file_type::directory) {
      files.push_back(path);
    }
  }
  if (error) {
    throw InputError(folder.string() + ": cannot be listed: " + error.message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace curvseg
