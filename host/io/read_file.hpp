/// @file
/// Whole files into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace curvseg {

/// The bytes of @p path.
/// @throws InputError naming the file when it is not there, not a regular file or unreadable.
std::vector<std::byte> read_file(const std::filesystem::path& path);

}  // namespace curvseg
