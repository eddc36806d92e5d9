/// \file
/// The options --crop and --augment.
#pragma once

#include <string>

#include "curvseg/data.hpp"

namespace curvseg::cli {

/// "auto", "none", "128" or "160x120" (width x height, as in all messages).
/// \throws InputError for anything else, or a crop of a classifier's images.
void set_crop(Augment& augment, const std::string& text, const Dataset& train);
std::string crop_text(const Augment& augment);

/// "auto", "none", or a list of flip, vflip, rotate and scale=0.8:1.25, separated by commas.
/// \throws InputError for anything else.
void set_augmentation(Augment& augment, const std::string& text, const Dataset& train);
std::string augmentation_text(const Augment& augment);

/// As many crops as have the pixels of the whole set, at least one per image: an epoch then means
/// the same for large images and small crops as it does for whole images. 0 without a crop.
std::size_t crops_per_epoch(const Augment& augment, const Dataset& train);

}  // namespace curvseg::cli
