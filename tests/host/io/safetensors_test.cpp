#include "host/io/safetensors.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/host/data/fixtures.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;
using test::TempDir;

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> result(values.size() * sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), values.data(), result.size());
  return result;
}

SafetensorsFile example() {
  SafetensorsFile file;
  file.tensors.push_back({"weights", "F32", {2, 3}, bytes_of<float>({1, 2, 3, 4, 5, 6})});
  file.tensors.push_back({"flags", "U8", {3}, bytes_of<std::uint8_t>({7, 8, 9})});
  file.tensors.push_back({"empty", "F64", {0, 5}, {}});
  file.tensors.push_back({"scalar", "I64", {}, bytes_of<std::int64_t>({-3})});
  file.metadata = {{"format", "test"}, {"text", "\"quoted\"\n\xC3\xA4"}};
  return file;
}

/// A file with this header, and `data` bytes of tensors.
void write_raw(const std::filesystem::path& path, const std::string& header, std::size_t data) {
  std::vector<std::uint8_t> bytes(8 + header.size() + data);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  test::write_bytes(path, bytes);
}

std::string read_error(const std::string& header, std::size_t data) {
  const TempDir folder;
  write_raw(folder / "bad.safetensors", header, data);
  const std::string message = input_error([&] { read_safetensors(folder / "bad.safetensors"); });
  expect_mentions(message, "bad.safetensors");
  return message;
}

TEST(Safetensors, BringsBackWhatWasWritten) {
  const TempDir folder;
  write_safetensors(folder / "x.safetensors", example());
  const SafetensorsFile file = read_safetensors(folder / "x.safetensors");
  EXPECT_EQ(file.metadata, example().metadata);
  ASSERT_EQ(file.tensors.size(), 4U);
  for (const SafetensorsTensor& expected : example().tensors) {
    bool found = false;
    for (const SafetensorsTensor& tensor : file.tensors) {
      if (tensor.name != expected.name) continue;
      found = true;
      EXPECT_EQ(tensor.dtype, expected.dtype);
      EXPECT_EQ(tensor.shape, expected.shape);
      EXPECT_EQ(tensor.bytes, expected.bytes);
    }
    EXPECT_TRUE(found) << expected.name;
  }
}

TEST(Safetensors, HeaderIsPaddedToEightBytes) {
  const TempDir folder;
  for (std::size_t letters = 1; letters <= 9; ++letters) {
    SafetensorsFile file;
    file.metadata["key"] = std::string(letters, 'x');
    write_safetensors(folder / "x.safetensors", file);
    const auto bytes = test::read_bytes(folder / "x.safetensors");
    EXPECT_EQ(bytes.size() % 8, 0U);
    EXPECT_EQ(bytes.at(8), '{');
  }
}

TEST(Safetensors, ReadsAFileOfTheSpecification) {
  const TempDir folder;
  write_raw(folder / "x.safetensors",
            R"({"b":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},)"
            R"("a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}  )",
            12);
  const SafetensorsFile file = read_safetensors(folder / "x.safetensors");
  ASSERT_EQ(file.tensors.size(), 2U);
  EXPECT_EQ(file.tensors[0].name, "a");
  EXPECT_EQ(file.tensors[1].name, "b");
  EXPECT_TRUE(file.metadata.empty());
}

TEST(Safetensors, RefusesToWriteWhatDoesNotFit) {
  const TempDir folder;
  const auto refused = [&](const SafetensorsFile& file) {
    EXPECT_THROW(write_safetensors(folder / "x.safetensors", file), std::invalid_argument);
    EXPECT_FALSE(std::filesystem::exists(folder / "x.safetensors"));
  };
  SafetensorsFile file = example();
  file.tensors[0].bytes.pop_back();
  refused(file);
  file = example();
  file.tensors[1].name = "weights";
  refused(file);
  file = example();
  file.tensors[1].dtype = "F8";
  refused(file);
  file = example();
  file.tensors[0].name = "__metadata__";
  refused(file);
}

TEST(Safetensors, DamagedHeadersAreRefused) {
  expect_mentions(read_error("", 0), "no JSON object");
  expect_mentions(read_error("{\"a\":", 0), "no JSON object");
  expect_mentions(read_error("[1,2,3]", 0), "no JSON object");
  expect_mentions(read_error(R"({"a":1})", 0), "tensor a has no dtype");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "no data_offsets");
  expect_mentions(read_error(R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}})", 4),
                  "malformed");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
                  "malformed");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
                  "-1");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4),
                  "1.5");
  expect_mentions(read_error(R"({"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}})", 4), "Q4");
  expect_mentions(read_error(R"({"__metadata__":[]})", 0), "__metadata__");
  expect_mentions(read_error(R"({"__metadata__":{"n":1}})", 0), "__metadata__ n");
}

TEST(Safetensors, ExtentsAndOffsetsMustAgree) {
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
                  "extents for 8 bytes", "0 to 4");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4),
                  "4 to 0");
  expect_mentions(read_error(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],)"
                             R"("data_offsets":[0,4]}})",
                             4),
                  "too many");
  expect_mentions(read_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                             6),
                  "tensor b begins at byte 2", "ends at byte 4");
  expect_mentions(read_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5),
                  "begins at byte 1");
  expect_mentions(read_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 6),
                  "2 bytes behind");
}

TEST(Safetensors, CutOffFilesAreRefused) {
  expect_mentions(read_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 3),
                  "cut off", "4 bytes", "has 3");
  const TempDir folder;
  test::write_bytes(folder / "x", {1, 2, 3});
  expect_mentions(input_error([&] { read_safetensors(folder / "x"); }), "has 3 bytes");
  test::write_bytes(folder / "x", {64, 0, 0, 0, 0, 0, 0, 0, '{', '}'});
  expect_mentions(input_error([&] { read_safetensors(folder / "x"); }), "cut off", "64 bytes");
  test::write_bytes(folder / "x", std::vector<std::uint8_t>(16, 0xFF));
  expect_mentions(input_error([&] { read_safetensors(folder / "x"); }), "no safetensors file");
}

TEST(Safetensors, TheReferenceReaderOfPythonAgrees) {
  if (std::system("python3 -c 'import safetensors' >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "python3 has no module safetensors";
  const TempDir folder;
  write_safetensors(folder / "x.safetensors", example());
  const std::string program =
      "import safetensors, sys\n"
      "got = dict(safetensors.deserialize(open(sys.argv[1], 'rb').read()))\n"
      "assert sorted(got) == ['empty', 'flags', 'scalar', 'weights'], sorted(got)\n"
      "assert got['weights']['dtype'] == 'F32' and got['weights']['shape'] == [2, 3]\n"
      "assert bytes(got['flags']['data']) == bytes([7, 8, 9])\n"
      "assert got['empty']['shape'] == [0, 5] and got['scalar']['shape'] == []\n";
  test::write_bytes(folder / "read.py", {program.begin(), program.end()});
  const std::string command = "python3 '" + (folder / "read.py").string() + "' '" +
                              (folder / "x.safetensors").string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace curvseg
