#include "host/cli/inputs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "host/data/parallel.hpp"
#include "host/nn/graph.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {"train", "val", "test"};
constexpr std::array<std::string_view, 3> kSchemes = {"builtin:", "cifar10:", "mnist:"};

/// Some of the samples of another set.
class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> base, std::vector<std::size_t> indices, std::string name)
      : base_(std::move(base)), indices_(std::move(indices)), name_(std::move(name)) {}

  std::size_t size() const override { return indices_.size(); }
  Sample get(std::size_t index) const override { return base_->get(indices_.at(index)); }
  ImageSize image_size(std::size_t index) const override {
    return base_->image_size(indices_.at(index));
  }
  std::string identity(std::size_t index) const override {
    return base_->identity(indices_.at(index));
  }
  int channels() const override { return base_->channels(); }
  int classes() const override { return base_->classes(); }
  std::vector<std::string> class_names() const override { return base_->class_names(); }
  bool is_classification() const override { return base_->is_classification(); }
  std::string name() const override { return name_; }

 private:
  std::shared_ptr<const Dataset> base_;
  std::vector<std::size_t> indices_;
  std::string name_;
};

DatasetOptions dataset_options(const DataSettings& settings, int channels, int classes) {
  DatasetOptions options;
  options.channels = channels;
  options.classes = classes;
  options.ignore_index = settings.ignore_index;
  return options;
}

/// Moves every n-th sample of the training set to the validation set. Spread out, since neighbours
/// (frames of a film, slices of a stack) are often alike.
void hold_out(TrainingData& data, double part) {
  const std::shared_ptr<const Dataset> all = data.train;
  if (!(part > 0.0) || all->size() < 2) {
    return;
  }
  const auto kept = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::lround(static_cast<double>(all->size()) * part)), 1,
      all->size() - 1);
  std::vector<std::size_t> train;
  std::vector<std::size_t> val;
  for (std::size_t i = 0; i < all->size(); ++i) {
    const bool is_val = (i + 1) * kept / all->size() != i * kept / all->size();
    (is_val ? val : train).push_back(i);
  }
  data.train = std::make_shared<Subset>(all, std::move(train), all->name());
  data.val = std::make_shared<Subset>(all, std::move(val), all->name() + " (held out)");
  data.held_out = true;
}

/// Where the folder begins in @p spec: behind the scheme, if there is one.
std::size_t path_offset(const std::string& spec) {
  for (const std::string_view scheme : kSchemes) {
    if (spec.starts_with(scheme)) {
      return scheme.size();
    }
  }
  return 0;
}

}  // namespace

bool has_scheme(const std::string& spec) { return path_offset(spec) > 0; }

std::string absolute_spec(const std::string& spec) {
  if (spec.starts_with("builtin:")) {
    return spec;
  }
  const std::size_t offset = path_offset(spec);
  const fs::path path = fs::absolute(spec.substr(offset)).lexically_normal();
  return spec.substr(0, offset) + path.string();
}

std::vector<std::string> available_splits(const std::string& spec) {
  std::vector<std::string> splits;
  for (const char* split : kSplits) {
    if (has_split(spec, split)) {
      splits.emplace_back(split);
    }
  }
  if (splits.empty() && !has_scheme(spec) && has_split(spec, "")) {
    splits.emplace_back();
  }
  return splits;
}

TrainingData open_training_data(const DataSettings& settings, bool check) {
  TrainingData data;
  const std::vector<std::string> splits = available_splits(settings.spec);
  const bool is_flat = splits == std::vector<std::string>{""};
  data.train = open_dataset(settings.spec, is_flat ? "" : "train",
                            dataset_options(settings, 0, settings.classes));
  const DatasetOptions like_train =
      dataset_options(settings, data.train->channels(), data.train->classes());
  const auto open = [&](const char* split) -> std::shared_ptr<const Dataset> {
    const bool is_there = std::find(splits.begin(), splits.end(), split) != splits.end();
    return is_there ? open_dataset(settings.spec, split, like_train) : nullptr;
  };
  data.val = open("val");
  data.test = open("test");
  if (check) {
    for (const Dataset* each : {data.train.get(), data.val.get(), data.test.get()}) {
      // Nothing to find in generated images, and records are read whole when they are opened.
      if (each != nullptr && !has_scheme(settings.spec)) {
        each->validate_pixels();
      }
    }
  }
  if (const auto* folder = dynamic_cast<const FolderDataset*>(data.train.get())) {
    data.class_source = folder->class_source();
    data.labels = folder->label_counts();
  }
  if (!data.val) {
    hold_out(data, settings.holdout);
  }
  return data;
}

std::shared_ptr<const Dataset> open_for_model(const DataSettings& settings,
                                              const std::string& split, const TrainingState& state,
                                              const fs::path& checkpoint, bool masks_optional) {
  DatasetOptions options = dataset_options(settings, state.in_channels, settings.classes);
  options.masks_optional = masks_optional;
  std::shared_ptr<const Dataset> dataset = open_dataset(settings.spec, split, options);
  const int classes = dataset->classes();
  if (classes > state.classes) {
    throw InputError(dataset->name() + " has " + std::to_string(classes) + " classes, " +
                     checkpoint.string() + " was trained for " + std::to_string(state.classes));
  }
  if (dataset->channels() != state.in_channels) {
    throw InputError(dataset->name() + " has images of " + std::to_string(dataset->channels()) +
                     " channels, " + checkpoint.string() + " was trained for " +
                     std::to_string(state.in_channels));
  }
  if (classes < state.classes) {  // the last classes just do not occur here
    options.classes = state.classes;
    dataset = open_dataset(settings.spec, split, options);
  }
  return dataset;
}

bool has_truth(const Dataset& dataset) {
  const auto* folder = dynamic_cast<const FolderDataset*>(&dataset);
  return folder == nullptr || folder->has_masks();
}

std::vector<double> count_labels(const Dataset& dataset) {
  const auto classes = static_cast<std::size_t>(dataset.classes());
  std::vector<std::vector<double>> counts(dataset.size());
  parallel_for_each_index(dataset.size(), [&](std::size_t i) {
    counts[i].resize(classes);
    for (const std::int32_t label : dataset.get(i).labels) {
      if (label >= 0) {
        counts[i][static_cast<std::size_t>(label)] += 1.0;
      }
    }
  });
  std::vector<double> total(classes);
  for (const std::vector<double>& each : counts) {
    std::transform(total.begin(), total.end(), each.begin(), total.begin(), std::plus<>());
  }
  return total;
}

std::int64_t count_parameters(const Model& model) {
  std::int64_t count = 0;
  for (const Parameter& each : model.parameters()) {
    count += each.size;
  }
  return count;
}

void check_kind(const Model& model, const Dataset& dataset) {
  if (model.is_classifier() && !dataset.is_classification()) {
    throw InputError("--model " + model.name() + " classifies whole images, " + dataset.name() +
                     " has a mask for each: take unet, fcn or segnet");
  }
  if (!model.is_classifier() && dataset.is_classification()) {
    throw InputError("--model " + model.name() + " segments images, " + dataset.name() +
                     " has one label for each: take classifier2 or classifier3");
  }
}

void check_sizes(const Model& model, const Dataset& dataset, ImageSize crop) {
  std::set<std::pair<int, int>> seen;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const ImageSize image = dataset.image_size(i);
    const ImageSize size{crop.height > 0 ? crop.height : image.height,
                         crop.width > 0 ? crop.width : image.width};
    if (!seen.emplace(size.height, size.width).second) {
      continue;
    }
    const std::string what =
        size == image ? dataset.name() + ": an image of " : dataset.name() + ": a crop of ";
    const std::string where = what + std::to_string(size.width) + "x" + std::to_string(size.height);
    const Shape fixed = model.fixed_input();
    if (fixed.h > 0 && (size.height != fixed.h || size.width != fixed.w)) {
      throw InputError(where + ", model " + model.name() + " takes " + std::to_string(fixed.w) +
                       "x" + std::to_string(fixed.h));
    }
    try {
      static_cast<void>(
          infer_shapes(model.nodes(), {1, size.height, size.width, model.in_channels()}));
    } catch (const std::exception& error) {
      throw InputError(where + ": " + error.what());
    }
  }
}

}  // namespace curvseg::cli
