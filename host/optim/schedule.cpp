// Learning-rate schedules.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>

#include "curvseg/error.hpp"
#include "curvseg/optim.hpp"
#include "host/optim/check_options.hpp"

namespace curvseg {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"constant", "step", "polynomial", "cosine"};

// Texts are made only when they are needed: a training asks at every step.
void require(bool condition, const char* why) {
  if (!condition) throw std::invalid_argument(std::string("learning_rate: ") + why);
}

void require_factor(double value, const char* name) {
  if (!(value >= 0.0 && std::isfinite(value)))  // so that a NaN fails
    throw std::invalid_argument("learning_rate: " + std::string(name) + " is " +
                                std::to_string(value) + ", it " + kFiniteNotNegative);
}

void check(const ScheduleOptions& options) {
  const double rate = options.learning_rate;
  if (!std::isfinite(static_cast<float>(rate)))  // what a step multiplies by
    throw std::invalid_argument("learning_rate: learning_rate is " + std::to_string(rate) +
                                ", it " + kFiniteInSinglePrecision);
  require_factor(rate, "learning_rate");
  require_factor(options.final_factor, "final_factor");
  require(options.power > 0.0 && std::isfinite(options.power),
          "power must be a finite number above 0");
  require_factor(options.step_factor, "step_factor");
  const bool needs_total = options.kind == ScheduleKind::kPolynomial ||
                           options.kind == ScheduleKind::kCosine ||
                           (options.kind == ScheduleKind::kStep && options.step_every == 0);
  require(!needs_total || options.total_steps > 0, "this schedule needs total_steps");
}

/// How often the rate has dropped. By default twice, so that it has three levels of a third of the
/// steps each, or one more where three does not divide them.
std::uint64_t drops(const ScheduleOptions& options, std::uint64_t t) {
  if (options.step_every > 0) return t / options.step_every;
  const std::uint64_t total =
      options.total_steps - std::min(options.total_steps, options.warmup_steps);
  const std::uint64_t third = total / 3, rest = total % 3;
  const std::uint64_t first = third + (rest > 0 ? 1 : 0);
  const std::uint64_t second = total - third;
  return (t >= first ? 1u : 0u) + (t >= second ? 1u : 0u);
}

/// t / T in [0, 1]; a warm-up that takes all the steps leaves nothing to decay over.
double progress(const ScheduleOptions& options, std::uint64_t t) {
  if (options.total_steps <= options.warmup_steps) return 1.0;
  const auto total = static_cast<double>(options.total_steps - options.warmup_steps);
  return std::min(1.0, static_cast<double>(t) / total);
}

double factor(const ScheduleOptions& options, std::uint64_t t) {
  const double rest = options.final_factor;
  switch (options.kind) {
    case ScheduleKind::kConstant:
      return 1.0;
    case ScheduleKind::kStep:
      return std::pow(options.step_factor, static_cast<double>(drops(options, t)));
    case ScheduleKind::kPolynomial:
      return rest + (1.0 - rest) * std::pow(1.0 - progress(options, t), options.power);
    case ScheduleKind::kCosine:
      return rest + (1.0 - rest) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress(options, t)));
  }
  return 1.0;
}

}  // namespace

ScheduleKind schedule_kind(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end())
    throw InputError("there is no learning-rate schedule \"" + std::string(name) +
                     "\"; there are: constant, step, polynomial, cosine");
  return static_cast<ScheduleKind>(found - kNames.begin());
}

std::string_view to_string(ScheduleKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

double learning_rate(const ScheduleOptions& options, std::uint64_t steps_done) {
  check(options);
  if (steps_done < options.warmup_steps)
    return options.learning_rate * static_cast<double>(steps_done + 1) /
           static_cast<double>(options.warmup_steps);
  return options.learning_rate * factor(options, steps_done - options.warmup_steps);
}

}  // namespace curvseg
