#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "curvseg/metrics.hpp"

namespace curvseg {
namespace {

std::size_t square(int classes) {
  if (classes < 1)
    throw std::invalid_argument("ConfusionCounts: " + std::to_string(classes) +
                                " classes, at least 1 is needed");
  return static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes);
}

std::size_t index_of(int classes, int truth, int prediction) {
  if (truth < 0 || truth >= classes || prediction < 0 || prediction >= classes)
    throw std::out_of_range("ConfusionCounts: true class " + std::to_string(truth) +
                            ", predicted class " + std::to_string(prediction) + ", there are " +
                            std::to_string(classes));
  return static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes) +
         static_cast<std::size_t>(prediction);
}

double ratio(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// The mean of those that are there; NaN for none.
template <class PerClass>
double mean_over_classes(int classes, const PerClass& value) {
  double sum = 0.0;
  int present = 0;
  for (int c = 0; c < classes; ++c) {
    if (const std::optional<double> each = value(c)) {
      sum += *each;
      ++present;
    }
  }
  return present > 0 ? sum / present : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

/// Of one class.
struct ConfusionCounts::Rates {
  std::uint64_t true_positives = 0;
  std::uint64_t truths = 0;       // TP + FN
  std::uint64_t predictions = 0;  // TP + FP
};

ConfusionCounts::ConfusionCounts(int classes) : classes_(classes), counts_(square(classes)) {}

ConfusionCounts::ConfusionCounts(int classes, std::vector<std::uint64_t> counts)
    : classes_(classes), counts_(std::move(counts)) {
  if (counts_.size() != square(classes))
    throw std::invalid_argument("ConfusionCounts: " + std::to_string(counts_.size()) +
                                " counts for " + std::to_string(classes) + " classes");
}

std::uint64_t ConfusionCounts::count(int truth, int prediction) const {
  return counts_[index_of(classes_, truth, prediction)];
}

std::uint64_t ConfusionCounts::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

void ConfusionCounts::add(int truth, int prediction) {
  if (truth < 0 || truth >= classes_) return;
  ++counts_[index_of(classes_, truth, prediction)];
}

ConfusionCounts& ConfusionCounts::operator+=(const ConfusionCounts& other) {
  if (other.classes_ != classes_)
    throw std::invalid_argument("ConfusionCounts: counts of " + std::to_string(other.classes_) +
                                " classes added to counts of " + std::to_string(classes_));
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  return *this;
}

ConfusionCounts::Rates ConfusionCounts::rates(int c) const {
  Rates result;
  result.true_positives = count(c, c);
  for (int other = 0; other < classes_; ++other) {
    result.truths += count(c, other);
    result.predictions += count(other, c);
  }
  return result;
}

double ConfusionCounts::pixel_accuracy() const {
  std::uint64_t right = 0;
  for (int c = 0; c < classes_; ++c) right += count(c, c);
  return ratio(right, total());
}

std::optional<double> ConfusionCounts::iou(int c) const {
  const Rates r = rates(c);
  const std::uint64_t joined = r.truths + r.predictions - r.true_positives;
  if (joined == 0) return std::nullopt;
  return ratio(r.true_positives, joined);
}

std::optional<double> ConfusionCounts::dice(int c) const {
  const Rates r = rates(c);
  if (r.truths + r.predictions == 0) return std::nullopt;
  return ratio(2 * r.true_positives, r.truths + r.predictions);
}

double ConfusionCounts::mean_iou() const {
  return mean_over_classes(classes_, [this](int c) { return iou(c); });
}

double ConfusionCounts::mean_dice() const {
  return mean_over_classes(classes_, [this](int c) { return dice(c); });
}

}  // namespace curvseg
