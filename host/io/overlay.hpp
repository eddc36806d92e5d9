/// @file
/// Pictures of predictions for people to look at.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "curvseg/data.hpp"
#include "host/io/image.hpp"

namespace curvseg {

/// 256 colours, one per class index. The first twelve (after Okabe and Ito 2008, and Tol) can be
/// told apart with any kind of colour blindness; later ones follow the bit pattern of PASCAL VOC.
/// 0 is black, 255 (void) is VOC's light beige.
std::span<const Rgb> default_palette();

/// Of pixels that were predicted wrong, and of pixels without a true class.
inline constexpr Rgb kWrongColor{255, 0, 200};
inline constexpr Rgb kVoidColor{64, 64, 64};

/// How overlay_panels() draws.
struct OverlayOptions {
  std::span<const Rgb> palette = default_palette();
  float opacity = 0.5F;  ///< of the class colour over the image, 0..1
  int zoom = 0;          ///< each pixel becomes zoom x zoom; 0: as needed to make panels 256 wide
  int gap = 6;           ///< pixels between panels
};

/// Panels side by side: the image; the image with the predicted classes in colour; when there is a
/// truth, the image with the true classes; and a dimmed image where wrong pixels are marked in
/// magenta. Pixels without a true class are shown dark grey in the last two.
/// @param sample     image [H,W,C] in 0..1; its own labels are not used
/// @param prediction [H,W]
/// @param truth      [H,W], or empty
/// @throws Error when the sizes disagree or a label has no colour.
Image overlay_panels(const Sample& sample, std::span<const std::int32_t> prediction,
                     std::span<const std::int32_t> truth = {}, const OverlayOptions& options = {});

/// The image of a sample as 8-bit RGB; a fourth channel is dropped.
Image to_rgb(const Sample& sample);

/// Pictures below one another, centred, on a white ground.
Image stack_rows(std::span<const Image> rows, int gap = 10);

/// Writes a contact sheet of several rows (such as overlay_panels() makes), atomically.
/// @throws Error for no rows or rows that are not RGB; InputError when the folder is not there.
void write_gallery(const std::filesystem::path& path, std::span<const Image> rows);

}  // namespace curvseg
