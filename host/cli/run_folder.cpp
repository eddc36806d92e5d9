#include "host/cli/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "host/cli/console.hpp"
#include "host/io/atomic_file.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

/// The last part of a data specification, fit for the name of a folder.
std::string short_name(const std::string& spec) {
  std::string name = absolute_spec(spec);
  name = name.substr(name.find(':') + 1);  // npos + 1 is 0
  name = name.substr(0, name.find('?'));
  while (name.size() > 1 && name.back() == '/') {
    name.pop_back();
  }
  name = fs::path(name).filename().string();
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0 && letter != '_' && letter != '.') {
      letter = '-';
    }
  }
  return name.empty() ? "run" : name;
}

}  // namespace

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

fs::path new_run_folder(const std::string& spec) {
  const std::string name = short_name(spec);
  for (int number = 1;; ++number) {
    fs::path folder = fs::path("runs") / (name + "-" + std::to_string(number));
    std::error_code error;
    if (!fs::exists(folder, error)) {
      return folder;
    }
  }
}

void check_writable_folder(const fs::path& folder) {
  fs::path existing = fs::absolute(folder).lexically_normal();
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  if (!fs::is_directory(existing, error)) {
    throw InputError(folder.string() + ": cannot be made, " + existing.string() +
                     " is not a folder");
  }
  // Asking for permission is not enough: root has it in /proc, where nothing can be made.
  std::string probe = (existing / ".curvseg-XXXXXX").string();
  if (mkdtemp(probe.data()) == nullptr) {
    throw InputError(folder.string() + ": cannot be written to, " + existing.string() + ": " +
                     std::strerror(errno));
  }
  rmdir(probe.c_str());
}

void check_writable_files(const fs::path& folder, std::initializer_list<const char*> files) {
  check_writable_folder(folder);
  for (const char* name : files) {
    std::error_code error;
    if (fs::is_directory(folder / name, error)) {
      throw InputError((folder / name).string() + ": is a folder, a file is to be written there");
    }
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw InputError(folder.string() + ": cannot be made: " + error.message());
  }
}

FolderLock::~FolderLock() {
  if (file_ >= 0) {
    close(file_);
  }
}

void FolderLock::take(const fs::path& folder) {
  if (file_ >= 0) {
    return;
  }
  file_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A file system that knows no locks is no reason to refuse a training.
  if (file_ >= 0 && flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw InputError(folder.string() +
                     ": another training is under way in it; give another --out, or wait");
  }
}

std::optional<DataSettings> read_data_settings(const fs::path& checkpoint) {
  const fs::path path = RunPaths{checkpoint.parent_path()}.options();
  std::ifstream file(path);
  if (!file) {
    return std::nullopt;
  }
  try {
    const Json json = Json::parse(file).at("data");
    DataSettings settings;
    settings.spec = json.at("spec").get<std::string>();
    settings.ignore_index = json.at("ignore_index").get<int>();
    settings.classes = json.at("classes").get<int>();
    settings.holdout = json.at("holdout").get<double>();
    return settings;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path.string() + ": not what curvseg train wrote: " + error.what());
  }
}

Json to_json(const DataSettings& settings) {
  return {{"spec", absolute_spec(settings.spec)},
          {"ignore_index", settings.ignore_index},
          {"classes", settings.classes},
          {"holdout", settings.holdout}};
}

std::string metrics_until(const fs::path& path, std::uint64_t step) {
  std::ifstream file(path);
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("step", std::uint64_t{0}) <= step) {
      kept += line + "\n";
    }
  }
  return kept;
}

MetricsLog::MetricsLog(const fs::path& path, bool echo, const std::string& lines)
    : path_(path), echo_(echo) {
  write_file_atomically(path_, std::string_view(lines));
  file_.open(path_, std::ios::app);
  if (!file_) {
    throw InputError(path_.string() + ": cannot be written to");
  }
}

void MetricsLog::write(const Json& line) {
  const std::string text = to_text(line) + "\n";
  file_ << text << std::flush;
  if (!file_) {
    throw Error(path_.string() + ": cannot be written to, is the disk full?");
  }
  if (echo_) {
    print(text);
  }
}

}  // namespace curvseg::cli
