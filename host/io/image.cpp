#include "host/io/image.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>

#include "curvseg/error.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/codecs.hpp"
#include "host/io/read_file.hpp"

namespace curvseg {
namespace {

[[noreturn]] void throw_unknown_format(const std::filesystem::path& path) {
  throw InputError(path.string() + ": neither PNG nor JPEG");
}

/// Walks the segments of a JPEG up to its frame header, which holds size and component count.
/// Metadata before it may be large, so the segments are skipped in the file, not read.
ImageInfo read_jpeg_info(std::ifstream& stream, const std::string& name) {
  const auto damaged = [&name] {
    return InputError(name + ": damaged JPEG: no complete header (truncated)");
  };
  stream.clear();
  stream.seekg(2);  // after the start-of-image marker
  for (;;) {
    int byte = stream.get();
    if (byte != 0xFF) {
      throw damaged();
    }
    while (byte == 0xFF) {  // any number of fill bytes may stand before a marker
      byte = stream.get();
    }
    const int marker = byte;
    unsigned char length[2] = {};
    stream.read(reinterpret_cast<char*>(length), 2);
    const int size = length[0] * 256 + length[1];
    if (!stream || size < 2) {
      throw damaged();
    }
    const bool frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (!frame) {
      stream.seekg(size - 2, std::ios::cur);
      continue;
    }
    unsigned char body[6] = {};
    stream.read(reinterpret_cast<char*>(body), 6);
    if (!stream) {
      throw damaged();
    }
    ImageInfo info;
    info.format = ImageFormat::kJpeg;
    info.bit_depth = body[0];
    info.height = body[1] * 256 + body[2];
    info.width = body[3] * 256 + body[4];
    info.channels = body[5];
    codec::check_image_size(info.height, info.width, name);
    if (info.channels != 1 && info.channels != 3) {
      throw InputError(name + ": JPEG with " + std::to_string(info.channels) +
                       " components (CMYK?), expected grey (1) or RGB (3)");
    }
    return info;
  }
}

void check_index_size(int height, int width, std::size_t count) {
  if (height <= 0 || width <= 0 ||
      count != static_cast<std::size_t>(height) * static_cast<std::size_t>(width)) {
    throw Error("write_index_png: " + std::to_string(count) + " indices for " +
                std::to_string(width) + "x" + std::to_string(height) + " pixels");
  }
}

/// PNG colour types that a mask may have.
constexpr int kGrey = 0;
constexpr int kPaletteColor = 3;

std::string describe_color(const codec::PngHeader& header) {
  static constexpr std::array<const char*, 7> kNames = {
      "grey", "", "RGB", "palette", "grey and alpha", "", "RGB and alpha"};
  const bool known = header.color_type >= 0 && header.color_type < 7;
  return std::string(known ? kNames[static_cast<std::size_t>(header.color_type)] : "unknown") +
         " pixels of " + std::to_string(header.bit_depth) + " bits";
}

}  // namespace

ImageInfo read_image_info(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw InputError(name + ": no such file");
  }
  if (!std::filesystem::is_regular_file(status)) {  // opening a pipe would wait for its writer
    throw InputError(name + ": not a regular file");
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    throw InputError(name + ": cannot be read");
  }
  std::array<std::byte, 33> start{};
  stream.read(reinterpret_cast<char*>(start.data()), static_cast<std::streamsize>(start.size()));
  const auto bytes = std::span(start).first(static_cast<std::size_t>(stream.gcount()));
  if (codec::is_jpeg(bytes)) {
    return read_jpeg_info(stream, name);
  }
  if (!codec::is_png(bytes)) {
    throw_unknown_format(path);
  }
  const codec::PngHeader header = codec::parse_png_header(bytes, name);
  ImageInfo info;
  info.format = ImageFormat::kPng;
  info.height = header.height;
  info.width = header.width;
  info.bit_depth = header.bit_depth;
  info.channels = codec::png_channels(header);
  info.is_index =
      (header.color_type == kGrey || header.color_type == kPaletteColor) && header.bit_depth <= 8;
  return info;
}

Image read_image(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (codec::is_png(bytes)) {
    return codec::decode_png8(bytes, codec::PngMode::kImage8, nullptr, path.string());
  }
  if (codec::is_jpeg(bytes)) {
    return codec::decode_jpeg(bytes, path.string());
  }
  throw_unknown_format(path);
}

Image16 read_image16(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (codec::is_png(bytes)) {
    return codec::decode_png16(bytes, path.string());
  }
  if (!codec::is_jpeg(bytes)) {
    throw_unknown_format(path);
  }
  const Image narrow = codec::decode_jpeg(bytes, path.string());
  Image16 wide{narrow.height, narrow.width, narrow.channels, {}};
  wide.pixels.resize(narrow.pixels.size());
  std::transform(narrow.pixels.begin(), narrow.pixels.end(), wide.pixels.begin(),
                 [](std::uint8_t value) { return static_cast<std::uint16_t>(value * 257); });
  return wide;
}

Image read_png(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (!codec::is_png(bytes)) {
    throw InputError(path.string() + ": not a PNG");
  }
  return codec::decode_png8(bytes, codec::PngMode::kImage8, nullptr, path.string());
}

Image read_jpeg(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (!codec::is_jpeg(bytes)) {
    throw InputError(path.string() + ": not a JPEG");
  }
  return codec::decode_jpeg(bytes, path.string());
}

MaskImage read_mask_png(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (!codec::is_png(bytes)) {
    throw InputError(path.string() + (codec::is_jpeg(bytes)
                                          ? ": a JPEG, a mask must be a PNG (lossy compression "
                                            "changes class indices)"
                                          : ": not a PNG"));
  }
  const codec::PngHeader header = codec::parse_png_header(bytes, path.string());
  if ((header.color_type != kGrey && header.color_type != kPaletteColor) || header.bit_depth > 8) {
    throw InputError(path.string() + ": " + describe_color(header) +
                     ", a mask needs class indices: grey or palette of 1 to 8 bits");
  }
  MaskImage mask;
  Image image = codec::decode_png8(bytes, codec::PngMode::kIndices, &mask.palette, path.string());
  mask.height = image.height;
  mask.width = image.width;
  mask.indices = std::move(image.pixels);
  return mask;
}

std::vector<std::byte> encode_png(const Image& image) { return codec::encode_png(image, {}); }

void write_png(const std::filesystem::path& path, const Image& image) {
  write_file_atomically(path, encode_png(image));
}

void write_index_png(const std::filesystem::path& path, int height, int width,
                     std::span<const std::uint8_t> indices, std::span<const Rgb> palette) {
  check_index_size(height, width, indices.size());
  if (palette.empty() || palette.size() > 256) {
    throw Error("write_index_png: a palette of " + std::to_string(palette.size()) +
                " colours, 1 to 256 are possible");
  }
  std::vector<Rgb> colors(palette.begin(), palette.end());
  // Strict readers reject an index without a colour.
  const std::size_t needed = std::size_t{*std::max_element(indices.begin(), indices.end())} + 1;
  colors.resize(std::max(colors.size(), needed));
  const Image image{height, width, 1, {indices.begin(), indices.end()}};
  write_file_atomically(path, codec::encode_png(image, colors));
}

void write_index_png(const std::filesystem::path& path, int height, int width,
                     std::span<const std::int32_t> labels, std::span<const Rgb> palette) {
  constexpr int kVoid = 255;
  const bool has_void = std::any_of(labels.begin(), labels.end(), [](int v) { return v < 0; });
  const int most = has_void ? kVoid - 1 : kVoid;
  std::vector<std::uint8_t> indices(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] > most) {
      throw Error(path.string() + ": label " + std::to_string(labels[i]) +
                  " does not fit, 8 bits hold 0 to " + std::to_string(most) +
                  (has_void ? " and 255 for void" : ""));
    }
    indices[i] = static_cast<std::uint8_t>(labels[i] < 0 ? 255 : labels[i]);
  }
  write_index_png(path, height, width, std::span<const std::uint8_t>(indices), palette);
}

}  // namespace curvseg
