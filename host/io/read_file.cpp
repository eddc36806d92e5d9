#include "host/io/read_file.hpp"

#include <fstream>
#include <string>
#include <system_error>

#include "curvseg/error.hpp"

namespace curvseg {

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw InputError(path.string() + ": no such file");
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw InputError(path.string() + ": not a regular file");
  }
  const auto size = std::filesystem::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) {
    throw InputError(path.string() + ": cannot be read");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (static_cast<std::size_t>(stream.gcount()) != bytes.size()) {
    throw InputError(path.string() + ": reading stopped after " + std::to_string(stream.gcount()) +
                     " of " + std::to_string(bytes.size()) + " bytes");
  }
  return bytes;
}

}  // namespace curvseg
