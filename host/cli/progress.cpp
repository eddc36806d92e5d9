#include "host/cli/progress.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "host/cli/console.hpp"
#include "host/cli/report.hpp"

namespace curvseg::cli {
namespace {

constexpr double kSmoothing = 0.1;  // weight of the newest value

/// A bar of @p width characters in brackets.
std::string bar(double part, int width) {
  const int full = static_cast<int>(std::clamp(part, 0.0, 1.0) * width);
  std::string text(static_cast<std::size_t>(width), ' ');
  std::fill_n(text.begin(), full, '=');
  if (full < width) {
    text[static_cast<std::size_t>(full)] = '>';
  }
  return "[" + text + "]";
}

void smooth(double& value, double newest, bool is_first) {
  value = is_first ? newest : (1.0 - kSmoothing) * value + kSmoothing * newest;
}

}  // namespace

Progress::Progress(const TrainerOptions& options, std::uint64_t first_step, bool is_classification)
    : epochs_(options.epochs), first_step_(first_step), is_classification_(is_classification) {}

void Progress::on_step(const StepReport& report) {
  const bool is_first = reports_ == 0;
  smooth(smooth_loss_, report.loss, is_first);
  // The first step also allocates: it says little about the ones that follow.
  smooth(smooth_rate_, report.images_per_second, reports_ <= 1);
  if (report.images_per_second > 0.0 && !is_first) {
    seconds_per_image_ += 1.0 / report.images_per_second;
  }
  ++reports_;
  last_ = report;
  constexpr auto kRedraw = std::chrono::milliseconds(100);
  const Clock::time_point now = Clock::now();
  const bool ends_epoch = report.steps_per_epoch > 0 && report.step % report.steps_per_epoch == 0;
  if (has_status_line() && (is_first || ends_epoch || now - drawn_ >= kRedraw)) {
    drawn_ = now;
    draw(report);
  }
}

void Progress::draw(const StepReport& report) {
  std::string left = fmt::format("{}  ", epoch_text(report.epoch));
  const std::uint64_t total = report.steps_planned;
  std::string right = total > 0 ? fmt::format("  {}/{}", report.step, total)
                                : fmt::format("  step {}", report.step);
  right += fmt::format("  loss {:.4f}", smooth_loss_);
  if (evaluation_) {
    right += fmt::format("  {} {}", headline_name(is_classification_),
                         score_text(headline(evaluation_->result, is_classification_)));
  }
  right += fmt::format("  {:.1f} images/s  {}", smooth_rate_, time_left());
  const auto room = [&] {
    return terminal_columns() - 3 - static_cast<int>(left.size() + right.size());
  };
  constexpr int kNarrowest = 8;
  if (room() < kNarrowest && total > 0) {
    left.clear();  // steps and bar tell it too
  }
  const int width = room();
  const double part =
      total > 0 ? static_cast<double>(report.step) / static_cast<double>(total) : 0.0;
  set_status(left + (width >= kNarrowest ? bar(part, std::min(width, 40)) : "") + right);
}

void Progress::on_evaluation(const EvaluationReport& report) {
  evaluation_ = report;
  is_logged_ = false;
}

void Progress::on_epoch(const EpochReport& report) {
  log(report.epoch, report.step, report.loss, report.validation.has_value());
  is_logged_ = true;
}

void Progress::finish() {
  if (!is_logged_) {
    log(evaluation_->epoch, evaluation_->step, smooth_loss_, true);
    is_logged_ = true;
  }
}

void Progress::log(std::uint64_t epoch, std::uint64_t step, double loss, bool is_evaluated) const {
  std::string line = fmt::format("{}  step {}", epoch_text(epoch), step);
  if (last_.steps_planned > 0) {
    line += fmt::format("/{}", last_.steps_planned);
  }
  line += fmt::format("  loss {:.4f}", loss);
  if (is_evaluated) {
    const EvaluationResult& result = evaluation_->result;
    line += fmt::format(
        "  val loss {:.4f}  {} {}{}", result.loss, headline_name(is_classification_),
        score_text(headline(result, is_classification_)), evaluation_->best ? " best" : "     ");
  }
  say("{}  {:.1f} images/s  {}", line, smooth_rate_, time_left());
}

double Progress::images_per_second() const {
  return seconds_per_image_ > 0.0 ? static_cast<double>(reports_ - 1) / seconds_per_image_
                                  : smooth_rate_;
}

std::string Progress::epoch_text(std::uint64_t epoch) const {
  const std::string count = std::to_string(epochs_);
  return epochs_ > 0 ? fmt::format("epoch {:{}}/{}", epoch + 1, count.size(), count)
                     : fmt::format("epoch {}", epoch + 1);
}

std::string Progress::time_left() const {
  constexpr std::uint64_t kEnough = 3;  // steps to judge by
  const std::uint64_t done = last_.step - std::min(last_.step, first_step_);
  if (last_.steps_planned == 0 || done < kEnough) {
    return "";
  }
  if (last_.step >= last_.steps_planned) {
    return "done";
  }
  // With evaluations and checkpoints in it, as the rest will have them.
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double each = seconds / static_cast<double>(done);
  return duration_text(each * static_cast<double>(last_.steps_planned - last_.step)) + " left";
}

}  // namespace curvseg::cli
