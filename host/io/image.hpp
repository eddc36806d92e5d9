/// @file
/// Image files: PNG and JPEG in, PNG out. No type of libpng or libjpeg appears here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace curvseg {

/// A picture in memory, rows from top to bottom, channels interleaved.
/// @tparam T `std::uint8_t` (0..255) or `std::uint16_t` (0..65535).
template <typename T>
struct BasicImage {
  int height = 0;
  int width = 0;
  int channels = 0;       ///< 1 grey, 3 RGB, 4 RGBA
  std::vector<T> pixels;  ///< [height,width,channels]

  /// Offset of the first channel of pixel (@p y, @p x) in `pixels`.
  [[nodiscard]] std::size_t offset(int y, int x) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
            static_cast<std::size_t>(x)) *
           static_cast<std::size_t>(channels);
  }
};

using Image = BasicImage<std::uint8_t>;
using Image16 = BasicImage<std::uint16_t>;

/// One colour of a palette, 0..255 each.
struct Rgb {
  std::uint8_t r = 0;
  std::uint8_t g = 0;
  std::uint8_t b = 0;
  friend bool operator==(const Rgb&, const Rgb&) = default;
};

/// A mask file: a class index per pixel.
struct MaskImage {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> indices;  ///< [height,width], the values stored in the file
  std::vector<Rgb> palette;           ///< colours of the indices; empty when the file is grey
};

enum class ImageFormat { kPng, kJpeg };

/// What the header of an image file says.
struct ImageInfo {
  ImageFormat format = ImageFormat::kPng;
  int height = 0;
  int width = 0;
  int channels = 0;       ///< channels that read_image() gives: 1, 3 or 4
  int bit_depth = 0;      ///< bits per sample in the file: 1, 2, 4, 8 or 16
  bool is_index = false;  ///< a PNG with 1 to 8 bits, grey without alpha or palette: can be a mask
};

/// Reads the header only (a few hundred bytes of a PNG; of a JPEG, up to its frame header).
/// The format is told by the content, whatever the file is called.
/// @throws InputError naming the file: not there, not PNG or JPEG, damaged, or CMYK.
ImageInfo read_image_info(const std::filesystem::path& path);

/// Reads a PNG or JPEG file, told apart by content, as 8 bits per sample.
/// PNG: palettes become RGB, 1- to 4-bit grey is scaled to 0..255, 16 bits are rounded to 8, alpha
/// of grey images and transparent palette entries are dropped; no gamma or colour profile is
/// applied. JPEG: grey or RGB; the EXIF orientation is not applied.
/// @throws InputError naming the file: not there, not PNG or JPEG, truncated, corrupt, CMYK.
Image read_image(const std::filesystem::path& path);

/// read_image() for 16-bit files without the rounding; 8-bit files are scaled by 257.
Image16 read_image16(const std::filesystem::path& path);

/// read_image() that refuses anything but PNG.
Image read_png(const std::filesystem::path& path);

/// read_image() that refuses anything but JPEG.
Image read_jpeg(const std::filesystem::path& path);

/// Reads the class indices of a mask: a grey or palette PNG of 1, 2, 4 or 8 bits. Values are those
/// stored in the file: palettes are not expanded, small bit depths not scaled.
/// @throws InputError naming the file: damaged, not a PNG, RGB pixels, 16 bits, alpha.
MaskImage read_mask_png(const std::filesystem::path& path);

/// Encodes an 8-bit PNG in memory; grey, RGB or RGBA by `image.channels`.
/// @throws Error when the sizes disagree or are empty.
std::vector<std::byte> encode_png(const Image& image);

/// Writes an 8-bit PNG, atomically.
/// @throws Error when sizes disagree, InputError when the folder cannot be written to.
void write_png(const std::filesystem::path& path, const Image& image);

/// Writes class indices as an 8-bit palette PNG, atomically: viewers show colours, read_mask_png()
/// gives the indices back.
/// @param indices [height,width]
/// @param palette 1 to 256 colours; filled up to the largest index with black.
void write_index_png(const std::filesystem::path& path, int height, int width,
                     std::span<const std::uint8_t> indices, std::span<const Rgb> palette);

/// The same for labels as the training code holds them: negative labels (kIgnoreLabel) are written
/// as 255, labels from 0 to 254 as they are.
/// @throws Error for a label above 254.
void write_index_png(const std::filesystem::path& path, int height, int width,
                     std::span<const std::int32_t> labels, std::span<const Rgb> palette);

}  // namespace curvseg
