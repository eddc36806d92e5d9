/// \file
/// Predictions of single images, as pictures.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "curvseg/train.hpp"
#include "host/io/image.hpp"

namespace curvseg::cli {

/// What the network says of one image.
struct ImagePrediction {
  Sample sample;                     ///< image in 0..1, and its truth
  std::vector<std::int32_t> labels;  ///< [H,W]; a classifier: [1]
  std::vector<float> probabilities;  ///< a classifier: [classes]
  ConfusionCounts confusion;         ///< against the truth; empty without one
};

/// Predicts sample @p index, whole.
ImagePrediction predict_sample(Trainer& trainer, const Dataset& dataset, std::size_t index);

/// The image beside its prediction and, where there is a truth, that and the errors.
Image overlay(const ImagePrediction& prediction);

/// Which colour of an overlay() is which class, at least @p width pixels wide.
/// \param has_truth  the overlays show errors and pixels without truth too
Image legend(const std::vector<std::string>& class_names, bool has_truth, int width);

/// Samples of @p dataset by mean IoU, the worst first; of large sets some, spread evenly.
struct RankedSample {
  std::size_t index = 0;
  double mean_iou = 0.0;
};
std::vector<RankedSample> rank_samples(Trainer& trainer, const Dataset& dataset, std::size_t most);

/// Removes the pictures of an earlier run from @p folder, and the folder where nothing else is in
/// it.
void remove_pictures(const std::filesystem::path& folder);

/// Writes overlays of the @p count worst samples to @p folder, named by rank, and the first of them
/// as one picture under a legend(), @p gallery.
void write_worst(Trainer& trainer, const Dataset& dataset, std::size_t count,
                 const std::filesystem::path& folder, const std::filesystem::path& gallery);

}  // namespace curvseg::cli
