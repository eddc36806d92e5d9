/// \file
/// Folders that hold what a user gave.
#pragma once

#include <filesystem>
#include <vector>

namespace curvseg {

/// \throws InputError naming @p folder when it is none, or cannot be reached.
void require_folder(const std::filesystem::path& folder);

/// Whether there is such a folder.
/// \throws InputError naming @p path when it cannot be followed, such as a link to itself.
bool is_folder(const std::filesystem::path& path);

/// The files in @p folder itself by name, without those whose names begin with a dot. A link that
/// leads nowhere is among them: whoever opens it will say so.
/// \throws InputError naming the path that cannot be looked at, such as a link that leads to
/// itself.
std::vector<std::filesystem::path> list_files(const std::filesystem::path& folder);

}  // namespace curvseg
