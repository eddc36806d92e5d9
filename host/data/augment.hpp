/// @file
/// Checks shared by augment() and the DataLoader.
#pragma once

#include "curvseg/data.hpp"

namespace curvseg {

/// @throws Error when @p augment asks for something impossible.
void check_augment(const Augment& augment);

/// @throws Error when @p normalisation is neither empty nor of @p channels entries, or a stddev is
///         not positive.
void check_normalisation(const Normalisation& normalisation, int channels);

/// Appends (x - mean) / stddev of @p image, [H,W,C], to @p out.
void append_normalised(std::vector<float>& out, const std::vector<float>& image,
                       const Normalisation& normalisation, std::size_t channels);

/// Height and width that augment() gives for an image of size @p image.
ImageSize augmented_size(const Augment& augment, ImageSize image);

}  // namespace curvseg
