#include "host/cli/class_report.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "host/cli/console.hpp"
#include "host/cli/text.hpp"

namespace curvseg::cli {
namespace {

/// Lines of the beginning have their title in the first 8 columns.
void say_wrapped(const std::string& title, const std::string& text) {
  constexpr std::size_t kColumns = 90;
  const std::string lines = wrap(text, kColumns) + "\n";
  std::string first = title;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = lines.find('\n', begin);
    say("{:<8}{}", first, lines.substr(begin, end - begin));
    first.clear();
    begin = end + 1;
  }
}

std::string shares_text(const LabelCounts& labels, const std::vector<std::string>& names) {
  const std::uint64_t all =
      std::accumulate(labels.of_class.begin(), labels.of_class.end(), labels.not_labelled);
  const auto share = [&](std::uint64_t pixels) {
    return fmt::format("{:.2f} %", 100.0 * static_cast<double>(pixels) /
                                       static_cast<double>(std::max<std::uint64_t>(1, all)));
  };
  std::string text;
  for (std::size_t c = 0; c < names.size(); ++c) {
    text += class_text(c, names[c]) + " " + share(labels.of_class[c]) + ", ";
  }
  return text + "not labelled " + share(labels.not_labelled);
}

}  // namespace

std::string class_text(std::size_t index, const std::string& name) {
  const std::string number = std::to_string(index);
  return name == "class " + number ? name : number + " " + name;
}

std::string class_source_text(const TrainingData& data) {
  if (!data.class_source) {
    return {};
  }
  switch (*data.class_source) {
    case ClassSource::kOptions:
      return " (--classes)";
    case ClassSource::kNames:
      return " (classes.txt)";
    case ClassSource::kMasks:
      break;
  }
  return " (the largest index in the masks is " + std::to_string(data.train->classes() - 1) + ")";
}

void say_classes(const TrainingData& data, int ignore_index) {
  const LabelCounts& labels = data.labels;
  if (labels.of_class.empty()) {
    return;
  }
  const std::vector<std::string> names = data.train->class_names();
  say_wrapped("pixels", shares_text(labels, names));
  if (data.class_source == ClassSource::kMasks && labels.not_labelled == 0 && ignore_index >= 0) {
    say_wrapped("",
                fmt::format("No pixel has the value {}, which means \"not labelled\". If one of "
                            "these classes means that, train with --ignore-index and its "
                            "number.",
                            ignore_index));
  }
  std::vector<std::string> absent;
  for (std::size_t c = 0; c < names.size(); ++c) {
    if (labels.of_class[c] == 0) {
      absent.push_back(class_text(c, names[c]));
    }
  }
  constexpr std::size_t kMost = 16;
  if (!absent.empty()) {
    spdlog::warn("no pixel of the training images is of: {}", join_some(absent, kMost));
  }
}

}  // namespace curvseg::cli
