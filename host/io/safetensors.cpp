#include "host/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "curvseg/error.hpp"
#include "host/io/atomic_file.hpp"
#include "host/io/read_file.hpp"

namespace curvseg {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are copied into the file as they lie in memory");

using nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the reference reader

constexpr std::array<std::pair<std::string_view, std::size_t>, 13> kDtypes = {{
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"U16", 2},
    {"I16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"U32", 4},
    {"I32", 4},
    {"F32", 4},
    {"U64", 8},
    {"I64", 8},
    {"F64", 8},
}};

/// Elements of a shape; nothing if an extent is negative or the product does not fit.
std::optional<std::uint64_t> elements(const std::vector<std::int64_t>& shape) {
  std::uint64_t result = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    const auto factor = static_cast<std::uint64_t>(extent);
    if (factor != 0 && result > std::numeric_limits<std::uint64_t>::max() / 8 / factor)
      return std::nullopt;
    result *= factor;
  }
  return result;
}

// ---- writing -----------------------------------------------------------------------------------

void check_to_write(const SafetensorsFile& file) {
  std::set<std::string_view> names;
  for (const SafetensorsTensor& tensor : file.tensors) {
    const auto count = elements(tensor.shape);
    const std::size_t size = safetensors_element_bytes(tensor.dtype);
    if (size == 0 || !count || *count * size != tensor.bytes.size())
      throw std::invalid_argument("write_safetensors: the bytes of tensor " + tensor.name +
                                  " do not fit its dtype and shape");
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      throw std::invalid_argument("write_safetensors: two tensors are called " + tensor.name);
  }
}

std::string make_header(const SafetensorsFile& file) {
  json header = json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::uint64_t offset = 0;
  for (const SafetensorsTensor& tensor : file.tensors) {
    const std::uint64_t end = offset + tensor.bytes.size();
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  // Names that are no UTF-8 lose the bytes in question.
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that tensors of any dtype are aligned
  return text;
}

// ---- reading -----------------------------------------------------------------------------------

/// What is wrong with a file, without its name.
struct Damage {
  std::string text;
};

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t result = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    result |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return result;
}

json parse_header(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes)
    throw Damage{"has " + std::to_string(bytes.size()) +
                 " bytes, a safetensors file has at least 8"};
  const std::uint64_t length = little_endian(bytes);
  if (length > kLongestHeader)
    throw Damage{"is no safetensors file: its header would have " + std::to_string(length) +
                 " bytes, " + std::to_string(kLongestHeader) + " are allowed"};
  if (length > bytes.size() - kLengthBytes)
    throw Damage{"is cut off: its header has " + std::to_string(length) +
                 " bytes, the file goes on for " + std::to_string(bytes.size() - kLengthBytes)};
  const auto* text = reinterpret_cast<const char*>(bytes.data() + kLengthBytes);
  json header = json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) throw Damage{"is no safetensors file: its header is no JSON object"};
  return header;
}

std::map<std::string, std::string> read_metadata(const json& value) {
  std::map<std::string, std::string> result;
  if (!value.is_object()) throw Damage{"has a damaged header: __metadata__ is no object"};
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      throw Damage{"has a damaged header: __metadata__ " + key + " is no string"};
    result[key] = text.get<std::string>();
  }
  return result;
}

std::uint64_t read_unsigned(const std::string& tensor, const json& value) {
  if (!value.is_number_unsigned())
    throw Damage{"has a damaged header: tensor " + tensor + " has an extent or offset of " +
                 value.dump()};
  return value.get<std::uint64_t>();
}

const json& member(const std::string& tensor, const json& entry, const char* key) {
  const auto found = entry.is_object() ? entry.find(key) : entry.end();
  if (!entry.is_object() || found == entry.end())
    throw Damage{"has a damaged header: tensor " + tensor + " has no " + key};
  return *found;
}

/// A tensor's header entry.
struct Entry {
  SafetensorsTensor tensor;  // without bytes yet
  std::uint64_t begin = 0, end = 0;
};

Entry read_entry(const std::string& name, const json& value) {
  Entry entry;
  entry.tensor.name = name;
  const json& dtype = member(name, value, "dtype");
  const json& shape = member(name, value, "shape");
  const json& offsets = member(name, value, "data_offsets");
  if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2)
    throw Damage{"has a damaged header: the entry of tensor " + name + " is malformed"};
  entry.tensor.dtype = dtype.get<std::string>();
  for (const json& extent : shape)
    entry.tensor.shape.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(
        read_unsigned(name, extent), std::numeric_limits<std::int64_t>::max())));
  entry.begin = read_unsigned(name, offsets[0]);
  entry.end = read_unsigned(name, offsets[1]);
  return entry;
}

void check_size(const Entry& entry) {
  const SafetensorsTensor& tensor = entry.tensor;
  const std::size_t size = safetensors_element_bytes(tensor.dtype);
  if (size == 0)
    throw Damage{"has a damaged header: tensor " + tensor.name + " has the unknown dtype " +
                 tensor.dtype};
  const auto count = elements(tensor.shape);
  if (entry.end < entry.begin || !count || *count * size != entry.end - entry.begin)
    throw Damage{"has a damaged header: tensor " + tensor.name + " has extents for " +
                 (count ? std::to_string(*count * size) : std::string("too many")) +
                 " bytes and offsets " + std::to_string(entry.begin) + " to " +
                 std::to_string(entry.end)};
}

/// Tensors follow each other without gaps and end where the file ends.
void check_layout(const std::vector<Entry>& entries, std::uint64_t available) {
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {
    check_size(entry);
    if (entry.begin != offset)
      throw Damage{"has a damaged header: tensor " + entry.tensor.name + " begins at byte " +
                   std::to_string(entry.begin) + ", the one before it ends at byte " +
                   std::to_string(offset)};
    offset = entry.end;
  }
  if (offset > available)
    throw Damage{"is cut off: its header promises " + std::to_string(offset) +
                 " bytes of tensors, the file has " + std::to_string(available)};
  if (offset < available)
    throw Damage{"has " + std::to_string(available - offset) + " bytes behind its last tensor"};
}

SafetensorsFile parse(std::span<const std::byte> bytes) {
  SafetensorsFile result;
  std::vector<Entry> entries;
  const json header = parse_header(bytes);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__")
      result.metadata = read_metadata(value);
    else
      entries.push_back(read_entry(name, value));
  }
  // Empty tensors share an offset with their neighbour; the shorter comes first.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data = bytes.subspan(kLengthBytes + little_endian(bytes));
  check_layout(entries, data.size());
  for (Entry& entry : entries) {
    const auto part = data.subspan(entry.begin, entry.end - entry.begin);
    entry.tensor.bytes.assign(part.begin(), part.end());
    result.tensors.push_back(std::move(entry.tensor));
  }
  return result;
}

}  // namespace

std::size_t safetensors_element_bytes(std::string_view dtype) {
  for (const auto& [name, size] : kDtypes)
    if (name == dtype) return size;
  return 0;
}

void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file) {
  check_to_write(file);
  const std::string header = make_header(file);
  const std::uint64_t length = header.size();
  AtomicFile out(path);
  out.write(std::as_bytes(std::span(&length, 1)));
  out.write(std::as_bytes(std::span(header.data(), header.size())));
  for (const SafetensorsTensor& tensor : file.tensors) out.write(tensor.bytes);
  out.commit();
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  try {
    return parse(bytes);
  } catch (const Damage& damage) {
    throw InputError(path.string() + ": " + damage.text);
  } catch (const json::exception& error) {
    throw InputError(path.string() + ": has a damaged header: " + error.what());
  }
}

}  // namespace curvseg
