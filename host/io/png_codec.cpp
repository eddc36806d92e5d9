#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "curvseg/error.hpp"
#include "host/io/codecs.hpp"

namespace curvseg::codec {
namespace {

constexpr std::size_t kHeaderBytes = 33;  // signature 8, IHDR: length 4, name 4, data 13, CRC 4
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 29;

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8) | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

/// All state of one decoding; trivially destructible, so a longjmp past it is harmless.
struct PngDecoder {
  png_structp png;
  png_infop info;
  const std::byte* data;
  std::size_t size;
  std::size_t position;
  char message[160];
};

/// All state of one encoding.
struct PngEncoder {
  png_structp png;
  png_infop info;
  std::vector<std::byte>* out;
  char message[160];
};

void copy_message(char (&to)[160], const char* from) { std::snprintf(to, sizeof to, "%s", from); }

[[noreturn]] void on_decode_error(png_structp png, png_const_charp message) {
  copy_message(static_cast<PngDecoder*>(png_get_error_ptr(png))->message, message);
  png_longjmp(png, 1);
}

[[noreturn]] void on_encode_error(png_structp png, png_const_charp message) {
  copy_message(static_cast<PngEncoder*>(png_get_error_ptr(png))->message, message);
  png_longjmp(png, 1);
}

/// Warnings are about metadata that we do not use (colour profiles above all).
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, std::size_t count) {
  auto* decoder = static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (count > decoder->size - decoder->position) {
    png_error(png, "the file ends too early (truncated)");
  }
  std::memcpy(to, decoder->data + decoder->position, count);
  decoder->position += count;
}

void on_write(png_structp png, png_bytep from, std::size_t count) {
  bool failed = false;
  try {  // an exception must not travel through C code
    auto* out = static_cast<PngEncoder*>(png_get_io_ptr(png))->out;
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    out->insert(out->end(), bytes, bytes + count);
  } catch (...) {
    failed = true;
  }
  if (failed) {  // outside of the handler, which a longjmp must not leave
    png_error(png, "out of memory");
  }
}

void on_flush(png_structp) {}

/// Releases what libpng holds, on every way out.
struct PngDecoderGuard {
  PngDecoder& decoder;
  explicit PngDecoderGuard(PngDecoder& d) : decoder(d) {}
  ~PngDecoderGuard() { png_destroy_read_struct(&decoder.png, &decoder.info, nullptr); }
  PngDecoderGuard(const PngDecoderGuard&) = delete;
  PngDecoderGuard& operator=(const PngDecoderGuard&) = delete;
};

struct EncoderGuard {
  PngEncoder& encoder;
  explicit EncoderGuard(PngEncoder& e) : encoder(e) {}
  ~EncoderGuard() { png_destroy_write_struct(&encoder.png, &encoder.info); }
  EncoderGuard(const EncoderGuard&) = delete;
  EncoderGuard& operator=(const EncoderGuard&) = delete;
};

/// Sets up the transformations of @p mode. False after an error, with decoder.message filled.
bool start_decoding(PngDecoder& decoder, PngMode mode) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) {
    return false;
  }
  png_structp png = decoder.png;
  png_infop info = decoder.info;
  png_set_read_fn(png, &decoder, on_read);
  png_read_info(png, info);
  const int type = png_get_color_type(png, info);
  const int depth = png_get_bit_depth(png, info);
  if (mode == PngMode::kIndices) {
    png_set_packing(png);  // one index per byte, values untouched
  } else {
    if (type == PNG_COLOR_TYPE_PALETTE) {
      png_set_palette_to_rgb(png);
    } else if (type == PNG_COLOR_TYPE_GRAY && depth < 8) {
      png_set_expand_gray_1_2_4_to_8(png);
    }
    if (type != PNG_COLOR_TYPE_RGB_ALPHA) {
      // The expansions turn a transparent colour into an alpha channel, which is not wanted.
      png_set_strip_alpha(png);
    }
    if (mode == PngMode::kImage8) {
      png_set_scale_16(png);
    } else {
      png_set_expand_16(png);
      png_set_swap(png);  // PNG is big-endian; every target of this library is little-endian
    }
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

/// Reads all rows to @p out. False after an error.
bool decode_rows(PngDecoder& decoder, png_bytep out, std::size_t row_bytes, png_uint_32 height,
                 int passes) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) {
    return false;
  }
  for (int pass = 0; pass < passes; ++pass) {
    for (png_uint_32 y = 0; y < height; ++y) {
      png_read_row(decoder.png, out + y * row_bytes, nullptr);
    }
  }
  png_read_end(decoder.png, nullptr);
  return true;
}

template <typename T>
BasicImage<T> decode(std::span<const std::byte> bytes, PngMode mode, std::vector<Rgb>* palette,
                     const std::string& name) {
  const PngHeader header = parse_png_header(bytes, name);
  PngDecoder decoder{};
  decoder.data = bytes.data();
  decoder.size = bytes.size();
  decoder.png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_decode_error, on_warning);
  const PngDecoderGuard guard(decoder);
  decoder.info = decoder.png != nullptr ? png_create_info_struct(decoder.png) : nullptr;
  if (decoder.info == nullptr) {
    throw Error("libpng could not be set up");
  }
  if (!start_decoding(decoder, mode)) {
    throw InputError(name + ": damaged PNG: " + decoder.message);
  }
  BasicImage<T> image;
  image.height = header.height;
  image.width = header.width;
  image.channels = static_cast<int>(png_get_channels(decoder.png, decoder.info));
  const std::size_t row_samples =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  const std::size_t row_bytes = png_get_rowbytes(decoder.png, decoder.info);
  if (row_bytes != row_samples * sizeof(T)) {
    throw Error(name + ": PNG rows of " + std::to_string(row_bytes) + " bytes, expected " +
                std::to_string(row_samples * sizeof(T)));
  }
  image.pixels.resize(row_samples * static_cast<std::size_t>(image.height));
  const bool interlaced = png_get_interlace_type(decoder.png, decoder.info) != PNG_INTERLACE_NONE;
  if (!decode_rows(decoder, reinterpret_cast<png_bytep>(image.pixels.data()), row_bytes,
                   static_cast<png_uint_32>(image.height),
                   interlaced ? PNG_INTERLACE_ADAM7_PASSES : 1)) {
    throw InputError(name + ": damaged PNG: " + decoder.message);
  }
  if (palette != nullptr) {
    palette->clear();
    png_colorp colors = nullptr;
    int count = 0;
    if (png_get_PLTE(decoder.png, decoder.info, &colors, &count) != 0) {
      for (int i = 0; i < count; ++i) {
        palette->push_back({colors[i].red, colors[i].green, colors[i].blue});
      }
    }
  }
  return image;
}

/// False after an error. Only trivial objects here: see codecs.hpp.
bool encode_rows(PngEncoder& encoder, const std::uint8_t* pixels, std::size_t row_bytes, int height,
                 int width, int color_type, const png_color* palette, int palette_size) {
  if (setjmp(png_jmpbuf(encoder.png)) != 0) {
    return false;
  }
  png_set_write_fn(encoder.png, &encoder, on_write, on_flush);
  png_set_IHDR(encoder.png, encoder.info, static_cast<png_uint_32>(width),
               static_cast<png_uint_32>(height), 8, color_type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (palette_size > 0) {
    png_set_PLTE(encoder.png, encoder.info, palette, palette_size);
  }
  png_write_info(encoder.png, encoder.info);
  for (int y = 0; y < height; ++y) {
    png_write_row(encoder.png, pixels + static_cast<std::size_t>(y) * row_bytes);
  }
  png_write_end(encoder.png, encoder.info);
  return true;
}

}  // namespace

bool is_png(std::span<const std::byte> bytes) {
  static constexpr unsigned char kSignature[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};
  return bytes.size() >= sizeof kSignature &&
         std::memcmp(bytes.data(), kSignature, sizeof kSignature) == 0;
}

void check_image_size(std::int64_t height, std::int64_t width, const std::string& name) {
  if (height <= 0 || width <= 0) {
    throw InputError(name + ": the image is empty (" + std::to_string(width) + "x" +
                     std::to_string(height) + ")");
  }
  if (height > kMaxPixels / width) {
    throw InputError(name + ": " + std::to_string(width) + "x" + std::to_string(height) +
                     " pixels, at most " + std::to_string(kMaxPixels) + " are read");
  }
}

PngHeader parse_png_header(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() < kHeaderBytes || big_endian(bytes, 8) != 13 ||
      std::memcmp(bytes.data() + 12, "IHDR", 4) != 0) {
    throw InputError(name + ": damaged PNG: no complete header (truncated)");
  }
  check_image_size(big_endian(bytes, 20), big_endian(bytes, 16), name);
  PngHeader header;
  header.width = static_cast<int>(big_endian(bytes, 16));
  header.height = static_cast<int>(big_endian(bytes, 20));
  header.bit_depth = std::to_integer<int>(bytes[24]);
  header.color_type = std::to_integer<int>(bytes[25]);
  return header;
}

int png_channels(const PngHeader& header) {
  switch (header.color_type) {
    case PNG_COLOR_TYPE_GRAY:
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return 1;
    case PNG_COLOR_TYPE_RGB_ALPHA:
      return 4;
    default:
      return 3;
  }
}

Image decode_png8(std::span<const std::byte> bytes, PngMode mode, std::vector<Rgb>* palette,
                  const std::string& name) {
  return decode<std::uint8_t>(bytes, mode, palette, name);
}

Image16 decode_png16(std::span<const std::byte> bytes, const std::string& name) {
  return decode<std::uint16_t>(bytes, PngMode::kImage16, nullptr, name);
}

std::vector<std::byte> encode_png(const Image& image, std::span<const Rgb> palette) {
  const bool known = image.channels == 1 || image.channels == 3 || image.channels == 4;
  if (!known || image.height <= 0 || image.width <= 0) {
    throw Error("encode_png: cannot write " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " pixels of " + std::to_string(image.channels) +
                " channels");
  }
  const std::size_t row_bytes =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  if (image.pixels.size() != row_bytes * static_cast<std::size_t>(image.height)) {
    throw Error("encode_png: " + std::to_string(image.pixels.size()) + " samples, the size needs " +
                std::to_string(row_bytes * static_cast<std::size_t>(image.height)));
  }
  if (palette.size() > 256 || (!palette.empty() && image.channels != 1)) {
    throw Error("encode_png: a palette has at most 256 colours and needs 1 channel, got " +
                std::to_string(palette.size()) + " and " + std::to_string(image.channels));
  }
  png_color colors[256] = {};
  for (std::size_t i = 0; i < palette.size(); ++i) {
    colors[i] = {palette[i].r, palette[i].g, palette[i].b};
  }
  const int color_type = !palette.empty()      ? PNG_COLOR_TYPE_PALETTE
                         : image.channels == 1 ? PNG_COLOR_TYPE_GRAY
                         : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                               : PNG_COLOR_TYPE_RGB_ALPHA;
  std::vector<std::byte> out;
  PngEncoder encoder{};
  encoder.out = &out;
  encoder.png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoder, on_encode_error, on_warning);
  const EncoderGuard guard(encoder);
  encoder.info = encoder.png != nullptr ? png_create_info_struct(encoder.png) : nullptr;
  if (encoder.info == nullptr) {
    throw Error("libpng could not be set up");
  }
  if (!encode_rows(encoder, image.pixels.data(), row_bytes, image.height, image.width, color_type,
                   colors, static_cast<int>(palette.size()))) {
    throw Error(std::string("encode_png: ") + encoder.message);
  }
  return out;
}

}  // namespace curvseg::codec
