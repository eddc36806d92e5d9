/// @file
/// The edge to libpng and libjpeg, private to host/io.
///
/// Both libraries report errors by longjmp. Jumping over an object with a destructor is undefined,
/// so each function of png_codec.cpp and jpeg_codec.cpp that calls setjmp holds only trivial
/// objects; memory is owned by its caller, which throws after the jump has landed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/io/image.hpp"

namespace curvseg::codec {

/// How the pixels of a PNG are to be delivered.
enum class PngMode {
  kImage8,   ///< colours, 8 bits
  kImage16,  ///< colours, 16 bits
  kIndices,  ///< stored values of a grey or palette file, 8 bits
};

/// Header fields of a PNG, straight from its IHDR chunk.
struct PngHeader {
  int height = 0;
  int width = 0;
  int bit_depth = 0;
  int color_type = 0;
};

/// True when @p bytes starts with the signature of a PNG.
bool is_png(std::span<const std::byte> bytes);
/// True when @p bytes starts as a JPEG does.
bool is_jpeg(std::span<const std::byte> bytes);

/// Parses the first 33 bytes of a PNG.
/// @throws InputError beginning with @p name.
PngHeader parse_png_header(std::span<const std::byte> bytes, const std::string& name);

/// Channels of the colours of a PNG: 1, 3 or 4 (grey with alpha counts as grey).
int png_channels(const PngHeader& header);

/// Decodes to 8 bits (kImage8, kIndices).
/// @param palette receives the palette in mode kIndices; may be null
/// @throws InputError beginning with @p name.
Image decode_png8(std::span<const std::byte> bytes, PngMode mode, std::vector<Rgb>* palette,
                  const std::string& name);

/// Decodes to 16 bits; files with fewer bits are scaled to 0..65535.
Image16 decode_png16(std::span<const std::byte> bytes, const std::string& name);

/// Encodes @p image; with a palette, `image` must have one channel and holds indices.
std::vector<std::byte> encode_png(const Image& image, std::span<const Rgb> palette);

/// Decodes a grey or RGB JPEG.
/// @throws InputError beginning with @p name.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name);

/// Throws InputError when a picture of this size would not fit in a sane amount of memory: a few
/// damaged header bytes must not make us allocate terabytes.
void check_image_size(std::int64_t height, std::int64_t width, const std::string& name);

}  // namespace curvseg::codec
