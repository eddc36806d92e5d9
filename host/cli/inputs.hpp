/// \file
/// Data sets as the commands need them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/checkpoint.hpp"
#include "curvseg/data.hpp"
#include "curvseg/model.hpp"

namespace curvseg::cli {

/// Which data a training used, as far as the data set alone does not tell. Kept in options.json.
struct DataSettings {
  std::string spec;
  int ignore_index = 255;
  int classes = 0;  ///< 0: as the data set finds them
  double holdout =
      0.1;  ///< part of the training set kept for validation when there is no val split
};

struct TrainingData {
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> val;       ///< may be nullptr
  std::shared_ptr<const Dataset> test;      ///< may be nullptr
  bool held_out = false;                    ///< val is a part of the training split
  std::optional<ClassSource> class_source;  ///< of a folder
  LabelCounts labels;  ///< of a folder's training split, when its pixels were checked
};

/// Opens every split of the set. A folder without splits is a training split.
/// \param check reads all pixels, so that a damaged file shows now and not hours later
/// \throws InputError naming the file.
TrainingData open_training_data(const DataSettings& settings, bool check);

/// Opens one split for a model that is there already: channels and classes are the model's.
/// \throws InputError, with both sides, when the data has more classes than the model.
std::shared_ptr<const Dataset> open_for_model(const DataSettings& settings,
                                              const std::string& split, const TrainingState& state,
                                              const std::filesystem::path& checkpoint,
                                              bool masks_optional = false);

/// The splits "train", "val", "test" that are there; "" when the folder has no splits.
std::vector<std::string> available_splits(const std::string& spec);

/// True for `builtin:`, `cifar10:` and `mnist:`.
bool has_scheme(const std::string& spec);

/// @p spec with its folder made absolute, so that it can be found from anywhere.
std::string absolute_spec(const std::string& spec);

/// Images without masks: files named one by one. Grey images fit a model of three channels, the
/// alpha channel of a fourth is dropped.
/// \throws InputError for colour images and a model of one channel, or two files of one stem.
std::shared_ptr<const Dataset> open_image_files(const std::vector<std::filesystem::path>& files,
                                                const TrainingState& state);

/// The files of a folder, by name.
struct ImageFolder {
  std::vector<std::filesystem::path> images;  ///< PNG and JPEG
  std::vector<std::filesystem::path> others;  ///< which nobody looks at
};

/// Hidden files count as neither.
ImageFolder list_image_files(const std::filesystem::path& folder);

/// Whether a data set's samples carry a truth.
bool has_truth(const Dataset& dataset);

/// Pixels (images, for a classifier) of each class over the whole set.
std::vector<double> count_labels(const Dataset& dataset);

/// Without the padding between tensors that Model::parameter_count() includes.
std::int64_t count_parameters(const Model& model);

/// \throws InputError when a classifier meets masks, or a segmenter labels of whole images.
void check_kind(const Model& model, const Dataset& dataset);

/// Allocates nothing, reads no pixels.
/// \param crop  0 x 0: images whole
/// \throws InputError for a crop or an image of @p dataset that @p model cannot take.
void check_sizes(const Model& model, const Dataset& dataset, ImageSize crop = {});

}  // namespace curvseg::cli
