// jpeglib.h needs FILE, and jerror.h the configuration in jpeglib.h.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "curvseg/error.hpp"
#include "host/io/codecs.hpp"

namespace curvseg::codec {
namespace {

/// All state of one decoding; trivially destructible, so a longjmp past it is harmless.
struct JpegDecoder {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  std::jmp_buf jump;
  bool damaged;  // a warning that means pixels are missing
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr jpeg) {
  auto* decoder = static_cast<JpegDecoder*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, decoder->message);
  std::longjmp(decoder->jump, 1);
}

/// libjpeg only warns of a truncated file and paints the rest grey. For training data that is an
/// error; other warnings (stray bytes, odd metadata) leave the pixels whole.
void on_message(j_common_ptr jpeg, int level) {
  auto* decoder = static_cast<JpegDecoder*>(jpeg->client_data);
  const int code = jpeg->err->msg_code;
  const bool loses_pixels = code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                            code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE ||
                            code == JWRN_MUST_RESYNC;
  if (level < 0 && loses_pixels && !decoder->damaged) {
    decoder->damaged = true;
    jpeg->err->format_message(jpeg, decoder->message);
  }
}

struct JpegDecoderGuard {
  JpegDecoder& decoder;
  explicit JpegDecoderGuard(JpegDecoder& d) : decoder(d) {}
  ~JpegDecoderGuard() { jpeg_destroy_decompress(&decoder.jpeg); }
  JpegDecoderGuard(const JpegDecoderGuard&) = delete;
  JpegDecoderGuard& operator=(const JpegDecoderGuard&) = delete;
};

/// False after an error, with decoder.message filled.
bool read_header(JpegDecoder& decoder, const unsigned char* data, unsigned long size) {
  if (setjmp(decoder.jump) != 0) {
    return false;
  }
  jpeg_mem_src(&decoder.jpeg, data, size);
  jpeg_read_header(&decoder.jpeg, TRUE);
  return true;
}

/// False after an error.
bool decode_rows(JpegDecoder& decoder, unsigned char* out, std::size_t row_bytes) {
  if (setjmp(decoder.jump) != 0) {
    return false;
  }
  // The slow integer transform is the same in every build of the library; the fast one is not.
  decoder.jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&decoder.jpeg);
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    JSAMPROW row = out + decoder.jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&decoder.jpeg);
  return true;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xFF} && bytes[1] == std::byte{0xD8} &&
         bytes[2] == std::byte{0xFF};
}

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  JpegDecoder decoder{};
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.jpeg.client_data = &decoder;
  // Creating fails only for a library of another version, before anything is allocated.
  jpeg_create_decompress(&decoder.jpeg);
  const JpegDecoderGuard guard(decoder);
  if (!read_header(decoder, reinterpret_cast<const unsigned char*>(bytes.data()),
                   static_cast<unsigned long>(bytes.size()))) {
    throw InputError(name + ": damaged JPEG: " + decoder.message);
  }
  const int components = decoder.jpeg.num_components;
  if (components != 1 && components != 3) {
    throw InputError(name + ": JPEG with " + std::to_string(components) +
                     " components (CMYK?), expected grey (1) or RGB (3)");
  }
  check_image_size(decoder.jpeg.image_height, decoder.jpeg.image_width, name);
  decoder.jpeg.out_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  Image image;
  image.height = static_cast<int>(decoder.jpeg.image_height);
  image.width = static_cast<int>(decoder.jpeg.image_width);
  image.channels = components;
  const std::size_t row_bytes =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(components);
  image.pixels.resize(row_bytes * static_cast<std::size_t>(image.height));
  if (!decode_rows(decoder, image.pixels.data(), row_bytes) || decoder.damaged) {
    throw InputError(name + ": damaged JPEG: " + decoder.message);
  }
  return image;
}

}  // namespace curvseg::codec
