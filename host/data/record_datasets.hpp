/// @file
/// Classification sets kept as records of equal size: CIFAR-10 and the IDX files of MNIST.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "curvseg/data.hpp"

namespace curvseg {

/// Images of one size with one label each, all in memory as 8 bits per sample.
struct Records {
  std::string name;
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<std::uint8_t> pixels;  ///< [records,H,W,C]
  std::vector<std::uint8_t> labels;  ///< [records]
  std::vector<std::string> class_names;
};

/// A data set over @p records.
std::unique_ptr<Dataset> make_record_dataset(Records records);

/// Reads the binary version of CIFAR-10: records of 3073 bytes (label; 1024 red, green, blue).
/// Train is every `data_batch_*.bin` in name order, test is `test_batch.bin`. Files may hold any
/// number of records. Class names come from `batches.meta.txt` when it is there.
/// @throws InputError naming the file: missing, not a multiple of 3073 bytes, a label above 9.
Records read_cifar10(const std::filesystem::path& folder, const std::string& split);

/// Reads MNIST-like IDX files, plain or gzip-compressed (`train-images-idx3-ubyte[.gz]` and so on;
/// `t10k-` for the test split; a dot in place of the dash before idx is understood).
/// @param classes 0: the largest label of both splits, plus one
/// @throws InputError naming the file: missing, another magic number, truncated, counts that
///         disagree, a label out of range.
Records read_mnist(const std::filesystem::path& folder, const std::string& split, int classes);

/// Whether the files of @p split are there.
bool cifar10_has_split(const std::filesystem::path& folder, const std::string& split);
bool mnist_has_split(const std::filesystem::path& folder, const std::string& split);

}  // namespace curvseg
