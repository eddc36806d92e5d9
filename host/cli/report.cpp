#include "host/cli/report.hpp"

#include <spdlog/fmt/fmt.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

#include "host/io/overlay.hpp"

namespace curvseg::cli {
namespace {

/// Counts of one class: how often it is true, how often predicted, how often both.
struct ClassCounts {
  double truth = 0.0;
  double predicted = 0.0;
  double both = 0.0;
};

ClassCounts class_counts(const ConfusionCounts& confusion, int c) {
  ClassCounts counts;
  for (int other = 0; other < confusion.classes(); ++other) {
    counts.truth += static_cast<double>(confusion.count(c, other));
    counts.predicted += static_cast<double>(confusion.count(other, c));
  }
  counts.both = static_cast<double>(confusion.count(c, c));
  return counts;
}

std::optional<double> ratio(double part, double whole) {
  return whole > 0.0 ? std::optional(part / whole) : std::nullopt;
}

/// The two numbers that a table shows for one class.
struct Scores {
  std::optional<double> first;   // IoU, or recall
  std::optional<double> second;  // Dice, or precision
};

Scores class_scores(const ConfusionCounts& confusion, int c, bool is_classification) {
  if (!is_classification) {
    return {confusion.iou(c), confusion.dice(c)};
  }
  const ClassCounts counts = class_counts(confusion, c);
  return {ratio(counts.both, counts.truth), ratio(counts.both, counts.predicted)};
}

std::string number(std::optional<double> value) {
  return value && std::isfinite(*value) ? fmt::format("{:.4f}", *value) : "-";
}

/// The colour of a class in the overlays, for a terminal that shows it.
std::string swatch(int c, bool colors) {
  const Rgb color = default_palette()[static_cast<std::size_t>(c)];
  const std::string hex = fmt::format("#{:02x}{:02x}{:02x}", color.r, color.g, color.b);
  return colors ? fmt::format("\x1b[48;2;{};{};{}m  \x1b[0m {}", color.r, color.g, color.b, hex)
                : hex;
}

std::size_t name_width(const std::vector<std::string>& names) {
  std::size_t width = std::string_view("pixel accuracy").size();
  for (const std::string& name : names) {
    width = std::max(width, name.size());
  }
  return width;
}

/// Columns of the colour: "#e69f00", on a terminal behind a sample of it.
int color_width(const ReportStyle& style) { return style.colors ? 10 : 7; }

std::string without_trailing_spaces(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string header(const std::vector<SplitResult>& results, const ReportStyle& style,
                   std::size_t width) {
  std::string splits = fmt::format("{:{}}  {:{}}", "", width, "", color_width(style));
  std::string columns = fmt::format("{:{}}  {:{}}", "class", width, "colour", color_width(style));
  for (const SplitResult& each : results) {
    splits += fmt::format("  | {:<26}", each.split);
    columns += style.is_classification ? "  | recall  precision    images"
                                       : "  | IoU     Dice      of pixels ";
  }
  return without_trailing_spaces(splits) + without_trailing_spaces(columns);
}

std::string class_row(const std::vector<SplitResult>& results, const ReportStyle& style,
                      std::size_t width, int c) {
  std::string row = fmt::format("{:{}}  {}", style.class_names[static_cast<std::size_t>(c)], width,
                                swatch(c, style.colors));
  for (const SplitResult& each : results) {
    const ConfusionCounts& confusion = each.result.confusion;
    const Scores scores = class_scores(confusion, c, style.is_classification);
    const double truth = class_counts(confusion, c).truth;
    const std::string amount =
        style.is_classification
            ? fmt::format("{}", truth)
            : fmt::format("{:.2f} %",
                          100.0 * truth /
                              static_cast<double>(std::max<std::uint64_t>(1, confusion.total())));
    row +=
        fmt::format("  | {:6}  {:6}  {:>10}", number(scores.first), number(scores.second), amount);
  }
  return without_trailing_spaces(std::move(row));
}

/// A row of one or two numbers per split under the classes.
template <class Numbers>
std::string summary_row(const std::vector<SplitResult>& results, const ReportStyle& style,
                        std::size_t width, const char* name, const Numbers& numbers) {
  std::string row = fmt::format("{:{}}  {:{}}", name, width, "", color_width(style));
  for (const SplitResult& each : results) {
    const Scores scores = numbers(each.result);
    const std::string second = scores.second ? number(scores.second) : "";
    row += fmt::format("  | {:6}  {:6}  {:10}", number(scores.first), second, "");
  }
  return without_trailing_spaces(std::move(row));
}

/// What needs no network: the most frequent class everywhere.
std::string baseline(const std::vector<SplitResult>& results, const ReportStyle& style) {
  std::string text;
  for (const SplitResult& each : results) {
    const ConfusionCounts& confusion = each.result.confusion;
    int common = 0;
    int present = 0;
    for (int c = 0; c < confusion.classes(); ++c) {
      const double truth = class_counts(confusion, c).truth;
      present += truth > 0.0 ? 1 : 0;
      common = truth > class_counts(confusion, common).truth ? c : common;
    }
    const double share = class_counts(confusion, common).truth /
                         static_cast<double>(std::max<std::uint64_t>(1, confusion.total()));
    text += fmt::format("{}{:.4f} on {}", text.empty() ? "" : ", ",
                        style.is_classification ? share : share / std::max(1, present), each.split);
  }
  return fmt::format("for comparison, {} of always the most frequent class: {}\n",
                     headline_name(style.is_classification), text);
}

}  // namespace

std::string result_table(const std::vector<SplitResult>& results, const ReportStyle& style) {
  const std::size_t width = name_width(style.class_names);
  std::string text = header(results, style, width);
  for (int c = 0; c < results.front().result.confusion.classes(); ++c) {
    text += class_row(results, style, width, c);
  }
  using Result = const EvaluationResult&;
  if (!style.is_classification) {
    text += summary_row(results, style, width, "mean", [](Result r) {
      return Scores{r.confusion.mean_iou(), r.confusion.mean_dice()};
    });
  }
  text += summary_row(results, style, width,
                      style.is_classification ? "accuracy" : "pixel accuracy", [](Result r) {
                        return Scores{r.confusion.pixel_accuracy(), std::nullopt};
                      });
  text += summary_row(results, style, width, "loss", [](Result r) {
    return Scores{r.loss, std::nullopt};
  });
  return text + baseline(results, style);
}

std::string headline_text(const std::vector<SplitResult>& results, bool is_classification) {
  std::string text = headline_name(is_classification);
  for (std::size_t i = 0; i < results.size(); ++i) {
    text +=
        fmt::format("{} {} on {}", i == 0 ? "" : ",",
                    score_text(headline(results[i].result, is_classification)), results[i].split);
  }
  return text;
}

Json to_json(const EvaluationResult& result) {
  const ConfusionCounts& confusion = result.confusion;
  Json iou = Json::array();
  Json dice = Json::array();
  const auto value = [](std::optional<double> score) { return score ? Json(*score) : Json(); };
  for (int c = 0; c < confusion.classes(); ++c) {
    iou.push_back(value(confusion.iou(c)));
    dice.push_back(value(confusion.dice(c)));
  }
  return {{"loss", result.loss},
          {"pixel_accuracy", confusion.pixel_accuracy()},
          {"mean_iou", confusion.mean_iou()},
          {"mean_dice", confusion.mean_dice()},
          {"iou", iou},
          {"dice", dice},
          {"images", result.images},
          {"evaluation_seconds", result.seconds}};
}

double headline(const EvaluationResult& result, bool is_classification) {
  return is_classification ? result.confusion.pixel_accuracy() : result.confusion.mean_iou();
}

std::string score_text(double score) { return number(score); }

const char* headline_name(bool is_classification) {
  return is_classification ? "accuracy" : "mIoU";
}

std::string duration_text(double seconds) {
  if (seconds < 10.0) {
    return fmt::format("{:.1f} s", seconds);
  }
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 3600) {
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
  }
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace curvseg::cli
