#include "host/io/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "curvseg/error.hpp"

namespace curvseg {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

/// The folder that holds @p path; "." for a bare file name.
std::filesystem::path folder_of(const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

/// Of temporary files: between the name of the target and that of the writer.
constexpr std::string_view kMark = ".tmp.";

/// The process that the temporary file of this name is of; 0 when it is none.
pid_t writer_of(std::string_view name) {
  const auto mark = name.rfind(kMark);
  if (!name.starts_with('.') || mark == std::string_view::npos) {
    return 0;
  }
  name.remove_prefix(mark + kMark.size());
  const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
  const auto dot = name.find('.');
  pid_t writer = 0;
  if (dot == std::string_view::npos || dot + 1 == name.size() ||
      !std::all_of(name.begin() + static_cast<std::ptrdiff_t>(dot) + 1, name.end(), is_digit) ||
      std::from_chars(name.data(), name.data() + dot, writer).ptr != name.data() + dot) {
    return 0;
  }
  return writer;
}

/// A rename lives in the folder's own data: without this a crash can undo it. Some file systems
/// refuse to sync a folder; the file itself is safe by then, so that is not an error.
void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    static_cast<void>(::fsync(descriptor));
    ::close(descriptor);
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  static std::atomic<std::uint64_t> counter{0};
  const auto folder = folder_of(target_);
  // The process id keeps two processes apart, the counter two threads; a leftover of a killed
  // process with the same id is stepped over by O_EXCL.
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = folder / ("." + target_.filename().string() + std::string(kMark) +
                           std::to_string(::getpid()) + "." + std::to_string(counter.fetch_add(1)));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 || errno != EEXIST) {
      break;
    }
  }
  if (descriptor_ < 0) {
    throw InputError(target_.string() + ": cannot write here: " + reason(errno));
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) {
    throw Error(target_.string() + ": written to after commit");
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw Error(target_.string() + ": writing failed: " + reason(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) {
    throw Error(target_.string() + ": committed twice");
  }
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw Error(target_.string() + ": flushing to disk failed: " + reason(errno));
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    throw Error(target_.string() + ": renaming the finished file failed: " + reason(errno));
  }
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(folder_of(target_));
}

void remove_unfinished_files(const std::filesystem::path& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const pid_t writer = writer_of(entry.path().filename().string());
    if (writer > 0 && ::kill(writer, 0) != 0 && errno == ESRCH) {
      std::filesystem::remove(entry.path(), error);
    }
  }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace curvseg
