#include "host/data/record_datasets.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>

#include "host/data/fnv1a.hpp"
#include "host/io/folder.hpp"
#include "host/io/read_file.hpp"

namespace curvseg {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCifarSide = 32;
constexpr std::size_t kCifarPlane = kCifarSide * kCifarSide;
constexpr std::size_t kCifarRecord = 1 + 3 * kCifarPlane;

class RecordDataset final : public Dataset {
 public:
  explicit RecordDataset(Records records) : records_(std::move(records)) {}

  [[nodiscard]] std::size_t size() const override { return records_.labels.size(); }

  [[nodiscard]] Sample get(std::size_t index) const override {
    check(index);
    Sample sample;
    sample.height = records_.height;
    sample.width = records_.width;
    sample.channels = records_.channels;
    sample.name = std::to_string(index);
    sample.labels = {records_.labels[index]};
    const auto pixels = pixels_of(index);
    sample.image.resize(pixels.size());
    std::transform(pixels.begin(), pixels.end(), sample.image.begin(),
                   [](std::uint8_t value) { return static_cast<float>(value) / 255.0F; });
    return sample;
  }

  [[nodiscard]] ImageSize image_size(std::size_t index) const override {
    check(index);
    return {records_.height, records_.width};
  }

  /// The content itself, which is in memory anyway.
  [[nodiscard]] std::string identity(std::size_t index) const override {
    check(index);
    const auto pixels = std::as_bytes(pixels_of(index));
    return std::to_string(records_.labels[index]) + " " + std::to_string(fnv1a(kFnvOffset, pixels));
  }

  [[nodiscard]] int channels() const override { return records_.channels; }
  [[nodiscard]] int classes() const override {
    return static_cast<int>(records_.class_names.size());
  }
  [[nodiscard]] std::vector<std::string> class_names() const override {
    return records_.class_names;
  }
  [[nodiscard]] bool is_classification() const override { return true; }
  [[nodiscard]] std::string name() const override { return records_.name; }
  void validate_pixels() const override {}  // the files were read and checked on opening

 private:
  [[nodiscard]] std::span<const std::uint8_t> pixels_of(std::size_t index) const {
    const std::size_t count = records_.pixels.size() / records_.labels.size();
    return std::span(records_.pixels).subspan(index * count, count);
  }

  void check(std::size_t index) const {
    if (index >= size()) {
      throw Error(name() + ": sample " + std::to_string(index) + " of " + std::to_string(size()));
    }
  }

  Records records_;
};

std::vector<fs::path> cifar10_files(const fs::path& folder, const std::string& split) {
  std::vector<fs::path> files;
  for (const fs::path& path : list_files(folder)) {
    const std::string name = path.filename().string();
    const bool train = name.starts_with("data_batch_") && name.ends_with(".bin");
    if ((split == "train" && train) || (split == "test" && name == "test_batch.bin")) {
      files.push_back(path);
    }
  }
  return files;
}

void append_cifar10(Records& records, const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  if (bytes.empty() || bytes.size() % kCifarRecord != 0) {
    throw InputError(path.string() + ": " + std::to_string(bytes.size()) +
                     " bytes, not a multiple of a record's " + std::to_string(kCifarRecord));
  }
  const std::size_t count = bytes.size() / kCifarRecord;
  records.pixels.reserve(records.pixels.size() + count * 3 * kCifarPlane);
  for (std::size_t r = 0; r < count; ++r) {
    const auto record = std::span(bytes).subspan(r * kCifarRecord, kCifarRecord);
    const auto label = std::to_integer<std::uint8_t>(record[0]);
    if (label >= 10) {
      throw InputError(path.string() + ": record " + std::to_string(r) + " has label " +
                       std::to_string(label) + ", there are 10 classes (0 to 9)");
    }
    records.labels.push_back(label);
    for (std::size_t i = 0; i < kCifarPlane; ++i) {  // planes to interleaved channels
      for (std::size_t c = 0; c < 3; ++c) {
        records.pixels.push_back(std::to_integer<std::uint8_t>(record[1 + c * kCifarPlane + i]));
      }
    }
  }
}

std::vector<std::string> cifar10_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::ifstream file(folder / "batches.meta.txt");
  for (std::string line; names.size() < 10 && file >> line;) {
    names.push_back(line);
  }
  if (names.size() != 10) {
    names = {"airplane", "automobile", "bird",  "cat",  "deer",
             "dog",      "frog",       "horse", "ship", "truck"};
  }
  return names;
}

/// The file of one kind ("images-idx3" or "labels-idx1") and split; empty when it is not there.
fs::path mnist_file(const fs::path& folder, const std::string& split, const std::string& kind) {
  require_folder(folder);
  const std::string prefix = split == "train" ? "train-" : "t10k-";
  std::string dotted = kind;
  dotted[kind.find('-')] = '.';
  for (const std::string& name : {kind, dotted}) {
    for (const char* suffix : {"-ubyte", "-ubyte.gz"}) {
      fs::path path = folder / (prefix + name + suffix);
      std::error_code error;
      if (fs::is_regular_file(path, error)) {
        return path;
      }
    }
  }
  return {};
}

/// The contents of a file, decompressed when it is gzip.
std::vector<std::uint8_t> read_gz(const fs::path& path) {
  struct Closer {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  const std::unique_ptr<gzFile_s, Closer> file(gzopen(path.c_str(), "rb"));
  if (!file) {
    throw InputError(path.string() + ": cannot be read");
  }
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  std::vector<std::uint8_t> bytes;
  std::size_t used = 0;
  for (;;) {
    bytes.resize(used + kChunk);
    const int got = gzread(file.get(), bytes.data() + used, static_cast<unsigned>(kChunk));
    int code = Z_OK;
    const char* message = gzerror(file.get(), &code);
    if (got < 0 || code != Z_OK) {
      throw InputError(path.string() + ": damaged gzip file: " + message);
    }
    used += static_cast<std::size_t>(got);
    if (got == 0) {
      break;
    }
  }
  bytes.resize(used);
  return bytes;
}

struct Idx {
  std::vector<std::size_t> shape;
  std::vector<std::uint8_t> data;
};

/// IDX: two zero bytes, element type (8: unsigned byte), rank, big-endian 32-bit sizes, data.
Idx read_idx(const fs::path& path, std::size_t rank) {
  std::vector<std::uint8_t> bytes = read_gz(path);
  const std::size_t header = 4 + 4 * rank;
  if (bytes.size() < header) {
    throw InputError(path.string() + ": " + std::to_string(bytes.size()) +
                     " bytes, the header alone has " + std::to_string(header) + " (truncated)");
  }
  if (bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 8 || bytes[3] != rank) {
    throw InputError(path.string() + ": not an IDX file of bytes with " + std::to_string(rank) +
                     " dimensions");
  }
  Idx idx;
  std::size_t total = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    std::size_t extent = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      extent = extent * 256 + bytes[4 + 4 * d + i];
    }
    if (extent == 0) {
      throw InputError(path.string() + ": dimension " + std::to_string(d) + " is 0");
    }
    idx.shape.push_back(extent);
    // Saturate: sizes of a damaged header must not wrap around to something plausible.
    total = total > bytes.size() / extent ? bytes.size() + 1 : total * extent;
  }
  if (bytes.size() != header + total) {
    throw InputError(path.string() + ": " + std::to_string(bytes.size()) +
                     " bytes, the sizes in the header do not fit (truncated?)");
  }
  idx.data.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end());
  return idx;
}

[[noreturn]] void throw_no_split(const fs::path& folder, const std::string& split,
                                 const std::string& files) {
  throw InputError(folder.string() + ": no split \"" + split + "\" (" + files + ")");
}

}  // namespace

std::unique_ptr<Dataset> make_record_dataset(Records records) {
  return std::make_unique<RecordDataset>(std::move(records));
}

bool cifar10_has_split(const fs::path& folder, const std::string& split) {
  return !cifar10_files(folder, split).empty();
}

Records read_cifar10(const fs::path& folder, const std::string& split) {
  const std::vector<fs::path> files = cifar10_files(folder, split);
  if (files.empty()) {
    throw_no_split(folder, split, "train is data_batch_*.bin, test is test_batch.bin");
  }
  Records records;
  records.name = "cifar10:" + folder.string() + " " + split;
  records.height = static_cast<int>(kCifarSide);
  records.width = static_cast<int>(kCifarSide);
  records.channels = 3;
  records.class_names = cifar10_names(folder);
  for (const fs::path& file : files) {
    append_cifar10(records, file);
  }
  return records;
}

bool mnist_has_split(const fs::path& folder, const std::string& split) {
  return (split == "train" || split == "test") && !mnist_file(folder, split, "images-idx3").empty();
}

Records read_mnist(const fs::path& folder, const std::string& split, int classes) {
  if (!mnist_has_split(folder, split)) {
    throw_no_split(folder, split,
                   "train is train-images-idx3-ubyte[.gz], test is t10k-images-idx3-ubyte[.gz]");
  }
  const fs::path image_file = mnist_file(folder, split, "images-idx3");
  const fs::path label_file = mnist_file(folder, split, "labels-idx1");
  if (label_file.empty()) {
    throw InputError(image_file.string() + ": no file of labels (" +
                     (split == "train" ? "train" : "t10k") + "-labels-idx1-ubyte[.gz]) beside it");
  }
  Idx images = read_idx(image_file, 3);
  Idx labels = read_idx(label_file, 1);
  if (images.shape[0] != labels.shape[0]) {
    throw InputError(label_file.string() + " has " + std::to_string(labels.shape[0]) + " labels, " +
                     image_file.string() + " has " + std::to_string(images.shape[0]) + " images");
  }
  int largest = *std::max_element(labels.data.begin(), labels.data.end());
  if (classes == 0) {
    const fs::path other = mnist_file(folder, split == "train" ? "test" : "train", "labels-idx1");
    if (!other.empty()) {
      const Idx others = read_idx(other, 1);
      largest = std::max<int>(largest, *std::max_element(others.data.begin(), others.data.end()));
    }
    classes = largest + 1;
  } else if (largest >= classes) {
    throw InputError(label_file.string() + ": label " + std::to_string(largest) +
                     " is out of range, there are " + std::to_string(classes) + " classes (0 to " +
                     std::to_string(classes - 1) + ")");
  }
  Records records;
  records.name = "mnist:" + folder.string() + " " + split;
  records.height = static_cast<int>(images.shape[1]);
  records.width = static_cast<int>(images.shape[2]);
  records.channels = 1;
  records.pixels = std::move(images.data);
  records.labels = std::move(labels.data);
  for (int i = 0; i < classes; ++i) {
    records.class_names.push_back(std::to_string(i));
  }
  return records;
}

}  // namespace curvseg
