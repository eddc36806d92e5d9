/// \file
/// Images with labels on a device, as mini-batches of one size.
#pragma once

#include <vector>

#include "curvseg/curvature_operator.hpp"
#include "curvseg/data.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg::cli {

/// Which images.
struct CurvatureImages {
  int images = 0;  ///< in all, at least 1
  int batch = 0;   ///< at once, at most
  Augment augment;
  Normalisation normalisation;
  std::uint64_t seed = 0;  ///< of the choice of images and crops
};

/// Mini-batches as CurvatureOperator takes them. What the last one lacks to its size are images
/// without a label, which count for nothing.
class CurvatureData {
 public:
  /// \throws InputError for whole images of several sizes.
  CurvatureData(const Stream& stream, const Dataset& dataset, const CurvatureImages& wanted);

  [[nodiscard]] const std::vector<MiniBatch>& batches() const { return batches_; }
  [[nodiscard]] Shape batch_shape() const { return shape_; }
  [[nodiscard]] int images() const { return images_; }             ///< the filled up ones are none
  [[nodiscard]] std::int64_t labels() const { return labelled_; }  ///< that count

 private:
  void add(const Stream& stream, Batch& batch);

  Shape shape_;
  int images_ = 0;
  std::int64_t labelled_ = 0;
  std::vector<Tensor> x_;
  std::vector<DeviceArray<std::int32_t>> labels_;
  std::vector<MiniBatch> batches_;
};

}  // namespace curvseg::cli
