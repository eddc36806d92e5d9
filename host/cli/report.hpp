/// \file
/// Results as tables and as JSON.
#pragma once

#include <string>
#include <vector>

#include "curvseg/train.hpp"
#include "host/cli/run_folder.hpp"

namespace curvseg::cli {

/// What came out on one split.
struct SplitResult {
  std::string split;
  EvaluationResult result;
};

/// What a data set's classes are called and how they are judged.
struct ReportStyle {
  std::vector<std::string> class_names;
  bool is_classification = false;
  bool colors = false;  ///< show the colours of the overlays (a terminal)
};

/// A row per class with IoU and Dice (of a classifier: recall and precision) per split, then means.
std::string result_table(const std::vector<SplitResult>& results, const ReportStyle& style);

/// "mIoU 0.7312 on val, 0.7254 on test".
std::string headline_text(const std::vector<SplitResult>& results, bool is_classification);

/// The numbers of one evaluation; classes as arrays in the order of their indices.
Json to_json(const EvaluationResult& result);

/// The number to look at first: mean IoU, of a classifier the accuracy.
double headline(const EvaluationResult& result, bool is_classification);
/// "0.8123", or "-" when nothing was there to score.
std::string score_text(double score);

const char* headline_name(bool is_classification);

/// "1:05", "2:03:04", "0.8 s".
std::string duration_text(double seconds);

}  // namespace curvseg::cli
