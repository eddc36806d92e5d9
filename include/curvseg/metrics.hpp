/// \file
/// How good predictions are: counts of truth against prediction, and what follows from them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace curvseg {

/// Pixels (images, for a classifier) by true and predicted class. Pixels without truth are not in.
///
/// With t the true, p the predicted class, n[t,p] the counts, and for a class c
/// TP = n[c,c], FN = Σ_p n[c,p] − TP, FP = Σ_t n[t,c] − TP.
class ConfusionCounts {
 public:
  ConfusionCounts() = default;
  /// All counts 0. \throws std::invalid_argument unless classes ≥ 1.
  explicit ConfusionCounts(int classes);
  /// `counts[t·classes + p]`. \throws std::invalid_argument unless there are classes² of them.
  ConfusionCounts(int classes, std::vector<std::uint64_t> counts);

  int classes() const { return classes_; }  ///< 0 for a default object
  /// n[t,p] at [t·classes + p].
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  /// n[t,p]. \throws std::out_of_range for a class that is none.
  std::uint64_t count(int truth, int prediction) const;
  std::uint64_t total() const;  ///< Σ n

  /// Counts one labelled pixel; a truth outside [0, classes) is left out.
  /// \throws std::out_of_range for a prediction that is no class.
  void add(int truth, int prediction);
  /// Adds the counts of another part of the data. \throws std::invalid_argument if its number of
  /// classes differs.
  ConfusionCounts& operator+=(const ConfusionCounts& other);

  /// Σ_c n[c,c] / Σ n; NaN when nothing was counted.
  double pixel_accuracy() const;
  /// TP / (TP + FP + FN); nothing for a class that is absent from truth and prediction.
  std::optional<double> iou(int c) const;
  /// 2 TP / (2 TP + FP + FN); nothing for a class that is absent from truth and prediction.
  std::optional<double> dice(int c) const;
  /// The mean of iou(c) over the classes that have one; NaN when nothing was counted.
  double mean_iou() const;
  /// The mean of dice(c) over the classes that have one; NaN when nothing was counted.
  double mean_dice() const;

  /// Whether the numbers of classes and all counts are equal.
  friend bool operator==(const ConfusionCounts&, const ConfusionCounts&) = default;

 private:
  struct Rates;
  Rates rates(int c) const;

  int classes_ = 0;
  std::vector<std::uint64_t> counts_;
};

}  // namespace curvseg
