// Images of a batch that products are over, as runs of neighbours, which kernels take at once.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/model.hpp"

namespace curvseg {

/// \throws std::invalid_argument for images that a batch of so many does not have, an empty list or
///         one that is not ascending.
inline void check_subset(const std::string& model, const char* what, const ImageSubset& images,
                         int batch) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(model + ": " + what + ": " + why + " of a batch of " +
                                std::to_string(batch));
  };
  if (!images.is_list()) {
    if (images.count() < 0 || images.count() > batch)
      refuse(std::to_string(images.count()) + " images");
    return;
  }
  if (images.list().empty()) refuse("an empty list of images");
  int least = 0;
  for (const int image : images.list()) {
    if (image >= batch || image < 0) refuse("image " + std::to_string(image));
    if (image < least)
      refuse("a list that is not ascending, with image " + std::to_string(image) + " behind " +
             std::to_string(least - 1) + ",");
    least = image + 1;
  }
}

/// Of a checked subset, as all that follows.
inline int last_image(const ImageSubset& images, int batch) {
  if (images.is_list()) return images.list().back();
  return (images.is_all() ? batch : images.count()) - 1;
}

/// Whether it is the whole batch.
inline bool covers(const ImageSubset& images, int batch) {
  return images.is_all() || images.count() == batch;
}

/// Calls f(ImageRange) for neighbours in ascending order, at most so many at once.
template <class F>
void for_each_run(const ImageSubset& images, int batch, int most, const F& f) {
  if (!images.is_list()) {
    const int count = last_image(images, batch) + 1;
    for (int begin = 0; begin < count; begin += most)
      f(ImageRange{begin, std::min(most, count - begin)});
    return;
  }
  ImageRange run{images.list().front(), 0};
  for (const int image : images.list()) {
    if (run.count == most || image != run.first + run.count) {
      f(run);
      run = {image, 0};
    }
    ++run.count;
  }
  f(run);
}

/// A subset of a batch that is remembered, without memory from the heap after construction.
class KeptImages {
 public:
  KeptImages() = default;
  explicit KeptImages(int batch) : batch_(batch) {
    numbers_.reserve(static_cast<std::size_t>(batch));
  }

  bool is(const ImageSubset& images) const {
    std::size_t i = 0;
    bool same = true;
    for_each_run(images, batch_, 1, [&](ImageRange image) {
      same = same && i < numbers_.size() && numbers_[i] == image.first;
      ++i;
    });
    return same && i == numbers_.size();
  }
  void clear() { numbers_.clear(); }
  void set(const ImageSubset& images) {
    clear();
    for_each_run(images, batch_, 1, [&](ImageRange image) { numbers_.push_back(image.first); });
  }

 private:
  int batch_ = 0;
  std::vector<int> numbers_;
};

}  // namespace curvseg
