/// \file
/// What lies in the folders of a FolderDataset.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace curvseg {

/// Ordered: the order of the set.
using FilesByStem = std::map<std::string, std::filesystem::path>;

/// The PNG and JPEG files of @p folder. Files of other kinds (notes, thumbnails) are passed over,
/// but an image in a format we cannot read must not vanish without a word.
/// \throws InputError for one of those, for two files of one stem, or when the folder cannot be
///         read.
FilesByStem list_images(const std::filesystem::path& folder);

/// The largest index plus one in the masks of @p split and, when it is one of train, val and test,
/// of its siblings: the number of classes must not depend on the split that happens to be open.
/// \throws InputError for the first damaged mask.
int classes_of_masks(const std::filesystem::path& split, int ignore_index);

/// The lines of `classes.txt` beside or above @p split; empty when there is none.
/// \throws InputError for a line that is not UTF-8.
std::vector<std::string> read_class_names(const std::filesystem::path& split);

}  // namespace curvseg
