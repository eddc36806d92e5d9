/// @file
/// Small files for the tests of data sets and image readers, written by libpng and libjpeg directly
/// so that our writers are not tested against our readers alone.
#pragma once

// jpeglib.h needs FILE.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <png.h>
// clang-format on

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "curvseg/error.hpp"
#include "host/io/image.hpp"

namespace curvseg::test {

/// A fresh folder that is removed with the object.
class TempDir {
 public:
  TempDir() {
    static std::atomic<int> counter{0};
    path_ = std::filesystem::temp_directory_path() /
            ("curvseg_test_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// PNG colour types, as in the specification.
enum PngColor : int { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

struct PngSpec {
  int height = 0;
  int width = 0;
  int bit_depth = 8;
  int color_type = kGrey;
  bool interlaced = false;
  std::vector<std::uint16_t> samples;  ///< [height,width,samples per pixel], unpacked
  std::vector<Rgb> palette;
  std::vector<std::uint8_t> palette_alpha;  ///< tRNS
};

namespace detail {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

inline File open_file(const std::filesystem::path& path) {
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) {
    throw std::runtime_error("fixture cannot be written: " + path.string());
  }
  return file;
}

inline int samples_per_pixel(int color_type) {
  switch (color_type) {
    case kRgb:
      return 3;
    case kGreyAlpha:
      return 2;
    case kRgba:
      return 4;
    default:
      return 1;
  }
}

/// The rows of a PNG: samples packed from the high bits down.
inline std::vector<std::vector<png_byte>> pack_rows(const PngSpec& spec) {
  const auto per_row = static_cast<std::size_t>(spec.width * samples_per_pixel(spec.color_type));
  const auto depth = static_cast<std::size_t>(spec.bit_depth);
  std::vector<std::vector<png_byte>> rows;
  for (std::size_t y = 0; y < static_cast<std::size_t>(spec.height); ++y) {
    std::vector<png_byte> row((per_row * depth + 7) / 8, 0);
    for (std::size_t i = 0; i < per_row; ++i) {
      const unsigned value = spec.samples.at(y * per_row + i);
      if (depth == 16) {
        row[2 * i] = static_cast<png_byte>(value >> 8);
        row[2 * i + 1] = static_cast<png_byte>(value & 255U);
      } else {
        const std::size_t bit = i * depth;
        row[bit / 8] = static_cast<png_byte>(row[bit / 8] | (value << (8 - depth - bit % 8)));
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace detail

// libpng's default error handler aborts: fine for a fixture.
inline void write_raw_png(const std::filesystem::path& path, const PngSpec& spec) {
  const detail::File file = detail::open_file(path);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file.get());
  png_set_IHDR(png, info, static_cast<png_uint_32>(spec.width),
               static_cast<png_uint_32>(spec.height), spec.bit_depth, spec.color_type,
               spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> colors;
  for (const Rgb& color : spec.palette) {
    colors.push_back({color.r, color.g, color.b});
  }
  if (!colors.empty()) {
    png_set_PLTE(png, info, colors.data(), static_cast<int>(colors.size()));
  }
  if (!spec.palette_alpha.empty()) {
    png_set_tRNS(png, info, spec.palette_alpha.data(), static_cast<int>(spec.palette_alpha.size()),
                 nullptr);
  }
  png_write_info(png, info);
  auto rows = detail::pack_rows(spec);
  std::vector<png_bytep> pointers;
  for (auto& row : rows) {
    pointers.push_back(row.data());
  }
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

/// A baseline JPEG of quality 100 without chroma subsampling; @p components 1, 3 or 4 (CMYK).
inline void write_raw_jpeg(const std::filesystem::path& path, int height, int width, int components,
                           const std::vector<std::uint8_t>& pixels) {
  const detail::File file = detail::open_file(path);
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file.get());
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = components;
  jpeg.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 100, TRUE);
  for (int c = 0; c < components; ++c) {
    jpeg.comp_info[c].h_samp_factor = 1;
    jpeg.comp_info[c].v_samp_factor = 1;
  }
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<std::uint8_t> copy = pixels;
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = copy.data() + static_cast<std::size_t>(jpeg.next_scanline) *
                                     static_cast<std::size_t>(width * components);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
}

/// A grey or RGB(A) PNG filled with one value.
inline void write_flat_png(const std::filesystem::path& path, int height, int width, int channels,
                           std::uint8_t value) {
  PngSpec spec;
  spec.height = height;
  spec.width = width;
  spec.color_type = channels == 1 ? kGrey : channels == 3 ? kRgb : kRgba;
  spec.samples.assign(static_cast<std::size_t>(height * width * channels), value);
  write_raw_png(path, spec);
}

/// An 8-bit grey mask filled with one class.
inline void write_flat_mask(const std::filesystem::path& path, int height, int width,
                            std::uint8_t value) {
  write_flat_png(path, height, width, 1, value);
}

/// Cuts @p path to its first @p size bytes.
inline void truncate_file(const std::filesystem::path& path, std::uintmax_t size) {
  std::filesystem::resize_file(path, size);
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The message of the InputError that @p action throws; a failure when it throws none.
template <typename Action>
std::string input_error(const Action& action) {
  try {
    action();
  } catch (const InputError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << "more than one line: " << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not an InputError: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// Expects that @p text holds each of @p parts.
template <typename... Parts>
void expect_mentions(const std::string& text, const Parts&... parts) {
  const auto check = [&text](const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" not in: " << text;
  };
  (check(parts), ...);
}

/// Where real data lies: the environment variable CURVSEG_DATA, else what the build was configured
/// with; empty when neither is a folder.
inline std::filesystem::path real_data() {
  const char* from_environment = std::getenv("CURVSEG_DATA");
  std::filesystem::path path = from_environment != nullptr ? from_environment : "";
#ifdef CURVSEG_SHARED_DATA_DIR
  if (path.empty()) {
    path = CURVSEG_SHARED_DATA_DIR;
  }
#endif
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path : std::filesystem::path();
}

}  // namespace curvseg::test
