#include "host/cli/curvature_data.hpp"

#include <algorithm>
#include <string>

namespace curvseg::cli {
namespace {

std::string size_text(ImageSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

/// One matrix comes from mini-batches of one size.
void check_one_size(const Dataset& dataset) {
  const ImageSize first = dataset.image_size(0);
  for (std::size_t i = 1; i < dataset.size(); ++i) {
    const ImageSize size = dataset.image_size(i);
    if (!(size == first)) {
      throw InputError(dataset.name() + ": whole images of " + size_text(first) + " and of " +
                       size_text(size) + " do not go together, give a --crop");
    }
  }
}

/// Whether there is an image that a crop is only a part of.
bool has_larger(const Dataset& dataset, const Augment& augment) {
  for (std::size_t i = 0; i < dataset.size() && augment.crop_height > 0; ++i) {
    const ImageSize size = dataset.image_size(i);
    if (size.height > augment.crop_height || size.width > augment.crop_width) {
      return true;
    }
  }
  return false;
}

}  // namespace

CurvatureData::CurvatureData(const Stream& stream, const Dataset& dataset,
                             const CurvatureImages& wanted) {
  const bool is_cropped = wanted.augment.crop_height > 0;
  if (!is_cropped) {
    check_one_size(dataset);
  }
  // A second crop of an image is another one, a second whole image is not.
  images_ = has_larger(dataset, wanted.augment)
                ? wanted.images
                : static_cast<int>(std::min<std::size_t>(dataset.size(),
                                                         static_cast<std::size_t>(wanted.images)));
  const int count = (images_ + wanted.batch - 1) / wanted.batch;
  shape_.n = (images_ + count - 1) / count;  // evenly
  DataLoader loader(dataset, {.batch = shape_.n,
                              .shuffle = true,
                              .seed = wanted.seed,
                              .augment = wanted.augment,
                              .normalisation = wanted.normalisation,
                              .samples_per_epoch = static_cast<std::size_t>(images_)});
  loader.start_epoch(0);
  for (Batch batch; loader.next(batch);) {
    add(stream, batch);
  }
  for (std::size_t b = 0; b < x_.size(); ++b) {
    batches_.push_back({x_[b], labels_[b].data()});
  }
}

void CurvatureData::add(const Stream& stream, Batch& batch) {
  shape_ = {shape_.n, batch.h, batch.w, batch.c};
  for (const std::int32_t label : batch.labels) {
    labelled_ += label >= 0 ? 1 : 0;
  }
  const std::size_t labels_each = batch.labels.size() / static_cast<std::size_t>(batch.n);
  batch.images.resize(static_cast<std::size_t>(shape_.elements()), 0.0F);
  batch.labels.resize(labels_each * static_cast<std::size_t>(shape_.n), kIgnoreLabel);
  Tensor& x = x_.emplace_back(stream.device(), shape_);
  x.upload(stream, batch.images);
  auto& labels =
      labels_.emplace_back(stream.device(), static_cast<std::int64_t>(batch.labels.size()));
  labels.upload(stream, batch.labels.data(), labels.size());
  stream.synchronise();  // the batch is used again
}

}  // namespace curvseg::cli
