/// @file
/// Files that are either complete or not there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace curvseg {

/// A file under construction. Bytes go to a hidden temporary file in the folder of the target;
/// commit() flushes it to disk and renames it over the target in one step, so that readers (and a
/// machine that loses power) see the old file or the new one, never a half. Without commit() the
/// destructor removes the temporary file and leaves the target as it was.
///
/// One thread at a time may use an object; several objects may write to one target, the last
/// commit() wins.
class AtomicFile {
 public:
  /// Opens a temporary file beside @p target.
  /// @throws InputError when the folder does not exist or cannot be written to.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  AtomicFile(AtomicFile&&) = delete;
  AtomicFile& operator=(AtomicFile&&) = delete;

  /// Appends @p bytes.
  /// @throws Error naming the target when the disk is full or the device fails.
  void write(std::span<const std::byte> bytes);

  /// Flushes to disk and renames onto the target. Nothing may be written afterwards.
  /// @throws Error naming the target; the target is then what it was before.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Writes @p bytes to @p path in one atomic step, replacing what was there.
/// @throws InputError when the folder cannot be written to, Error when writing fails; in both cases
///         @p path is left as it was.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// The same for text.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Removes what processes that were killed while they wrote left in @p folder: temporary files of
/// AtomicFile. Those of a process that still runs stay.
void remove_unfinished_files(const std::filesystem::path& folder);

}  // namespace curvseg
