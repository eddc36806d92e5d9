// Convolution in its three directions against oneDNN, in one run.
//
// oneDNN runs twice: on NHWC activations, as ours are, and on the layout it likes best ("any"),
// without counting what it costs to bring the data there; its filters are in its own layout both
// times, reordered beforehand, whereas ours packs its filters within the time. Where there is a
// choice of algorithms, ours is the one that it takes by itself, and the table has its direct sums
// too. Sides are timed in turn, one right after the other, so that a change of the machine's speed
// hits all; the ratio is the median of the rounds against the better layout, with the least and the
// largest. With --json one object a row instead of a table, with all samples, for perf/run.py.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "perf/peers/onednn_convolution.hpp"
#include "perf/support/arguments.hpp"
#include "perf/support/peaks.hpp"

namespace curvseg::perf {
namespace {

// The name of this program: there is one a version of oneDNN.
constexpr const char* kUsage =
    CURVSEG_PROGRAM R"( [--pairs 9] [--clock wall|cpu] [--only PART_OF_A_NAME] [--json]

Convolution in its three directions against oneDNN, in one run, as a Markdown table.
)";

constexpr double kShortest = 0.002;  // seconds of a sample: below, one run is too short to time
constexpr std::array kSides = {"curvseg", "nhwc", "any"};

/// Seconds of every round.
struct Samples {
  std::array<std::vector<double>, 3> seconds;
  std::vector<double> direct;  // ours, where there is a choice of algorithms
  std::vector<double> peak;    // operations a second
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// All sum whole numbers, which is exact as long as they are small; long sums may round.
void require_same(const std::string& what, const std::vector<float>& ours,
                  const std::vector<float>& theirs) {
  double largest = 1.0;
  for (const float value : theirs)
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  require_close(what, ours, {theirs.begin(), theirs.end()},
                std::vector<double>(theirs.size(), 1e-5 * largest));
}

class Comparison {
 public:
  Comparison(int rounds, Clock clock) : rounds_(rounds), clock_(clock) {}

  Samples run(const std::array<std::function<void()>, 3>& sides,
              const std::function<void()>& direct) const {
    const int repeat = std::max(1, static_cast<int>(std::ceil(kShortest / time(sides[0], 1))));
    Samples samples;
    for (int i = 0; i < rounds_; ++i) {
      samples.peak.push_back(fma_peak(clock_));
      for (std::size_t k = 0; k < sides.size(); ++k)
        samples.seconds[k].push_back(time(sides[k], repeat));
      if (direct) samples.direct.push_back(time(direct, repeat));
    }
    return samples;
  }

 private:
  double time(const std::function<void()>& side, int repeat) const {
    const double start = seconds(clock_);
    for (int i = 0; i < repeat; ++i) side();
    return (seconds(clock_) - start) / repeat;
  }

  int rounds_;
  Clock clock_;
};

void print_row(const std::string& name, double flops, const Samples& samples) {
  const auto& [ours, nhwc, any] = samples.seconds;
  const std::vector<double>& best = median(nhwc) < median(any) ? nhwc : any;
  std::vector<double> ratios, percents;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    ratios.push_back(best[i] / ours[i]);
    percents.push_back(100.0 * flops / ours[i] / samples.peak[i]);
  }
  const std::string direct =
      samples.direct.empty() ? ""
                             : std::to_string(std::lround(flops / median(samples.direct) / 1e9));
  std::printf("| %s | %.1f | %.0f | %s | %.1f | %.1f | %.2f [%.2f, %.2f] |\n", name.c_str(),
              flops / median(ours) / 1e9, median(percents), direct.c_str(),
              flops / median(nhwc) / 1e9, flops / median(any) / 1e9, median(ratios),
              *std::min_element(ratios.begin(), ratios.end()),
              *std::max_element(ratios.begin(), ratios.end()));
}

void print_list(const char* name, const std::vector<double>& values, const char* end) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i)
    std::printf("%s%.6g", i == 0 ? "" : ", ", values[i]);
  std::printf("]%s", end);
}

void print_json(const std::string& name, double flops, const Samples& samples) {
  std::printf("{\"name\": \"%s\", \"flops\": %.0f, \"sides\": {", name.c_str(), flops);
  for (std::size_t k = 0; k < kSides.size(); ++k)
    print_list(kSides[k], samples.seconds[k], k + 1 < kSides.size() ? ", " : "}, ");
  print_list("peak", samples.peak, "}\n");
}

void compare_case(const Stream& stream, const Conv2dCase& c, const Comparison& comparison,
                  bool json) {
  for (const auto& [direction_name, direction] : directions(c)) {
    const std::string name = std::string(direction_name) + "/" + c.name;
    Convolution ours(stream, c, direction, true);
    OneDnnConvolution nhwc(c, direction, OneDnnLayout::kNhwc);
    OneDnnConvolution any(c, direction, OneDnnLayout::kAny);
    ours.run();
    nhwc.run();
    any.run();
    require_same(name, ours.result(), nhwc.result());
    require_same(name, ours.result(), any.result());
    std::optional<Convolution> direct;
    if (c.has_choice() && !json) direct.emplace(stream, c, direction, true, ConvAlgorithm::kDirect);
    const Samples samples =
        comparison.run({[&] { ours.run(); }, [&] { nhwc.run(); }, [&] { any.run(); }},
                       direct ? [&] { direct->run(); } : std::function<void()>());
    const double flops = ours.shapes().flops();
    json ? print_json(name, flops, samples) : print_row(name, flops, samples);
    std::fflush(stdout);
  }
}

void run(Arguments& arguments) {
  const int rounds = arguments.number("pairs", 9);
  const Clock clock = arguments.clock();
  const std::string only = arguments.text("only", "");
  const bool json = arguments.flag("json");
  arguments.done();
  const Stream stream(Device::open("host"));
  const std::string set = stream.device().info().instruction_set;
  if (json)
    std::printf("{\"peer\": \"oneDNN %s\", \"instruction_set\": \"%s\", \"threads\": %d}\n",
                onednn_version().c_str(), set.c_str(), threads());
  else
    std::printf(
        "curvseg (%s) and oneDNN %s, %d threads, %s time; ratio: oneDNN's time over ours, against "
        "its better layout.\n\n"
        "| convolution | GFLOP/s | %% of FMA peak | direct | oneDNN nhwc | oneDNN any | ratio |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        set.c_str(), onednn_version().c_str(), threads(), clock == Clock::kWall ? "wall" : "cpu");
  for (const Conv2dCase& c : kConv2dCases)
    if (std::string(c.name).find(only) != std::string::npos)
      compare_case(stream, c, Comparison(rounds, clock), json);
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, CURVSEG_PROGRAM, kUsage, run);
}
