/// \file
/// Named tensors in one file, in the safetensors format: eight bytes with the length of a JSON
/// header, little endian; the header, padded with spaces to a multiple of eight; the tensors
/// without gaps. Source: https://huggingface.co/docs/safetensors, "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace curvseg {

/// A tensor as the file holds it.
struct SafetensorsTensor {
  std::string name;
  std::string dtype = "F32";        ///< as in the format: "F32", "F64", "I64", "U8" …
  std::vector<std::int64_t> shape;  ///< empty for a scalar
  std::vector<std::byte> bytes;     ///< dense, last extent fastest, little endian
};

struct SafetensorsFile {
  std::vector<SafetensorsTensor> tensors;       ///< in the order of their bytes
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
};

/// Bytes of one element of a dtype of the format; 0 for an unknown one.
std::size_t safetensors_element_bytes(std::string_view dtype);

/// Writes `file` to `path`, whole or not at all.
/// \throws InputError when the folder cannot be written to, Error when writing fails,
///         std::invalid_argument for two tensors of one name or bytes that do not fit dtype and
///         shape; nothing is written then.
void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file);

/// Reads all of `path`.
/// \throws InputError with one line naming the file and what is wrong: missing, cut off, a header
///         that is too long or no JSON of the format, extents that do not fit the bytes, tensors
///         that overlap or leave gaps, bytes left over.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

}  // namespace curvseg
