#include "perf/peers/convolution_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "perf/support/peaks.hpp"

namespace curvseg::perf {
namespace {

constexpr double kShortest = 0.002;  // seconds of a sample: below, one run is too short to time

using Run = std::function<void()>;

/// Seconds of every round.
struct Samples {
  std::vector<std::vector<double>> seconds;  // ours, then the peer's sides
  std::vector<double> direct;                // ours, where there is a choice of algorithms
  std::vector<double> peak;                  // operations a second; none of a GPU
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
  Comparison(Stream stream, int rounds, Clock clock)
      : stream_(std::move(stream)), rounds_(rounds), clock_(clock) {}

  const Stream& stream() const { return stream_; }

  Samples run(const std::vector<Run>& sides, const Run& direct) const {
    const int repeat = std::max(1, static_cast<int>(std::ceil(kShortest / time(sides[0], 1))));
    Samples samples;
    samples.seconds.resize(sides.size());
    for (int i = 0; i < rounds_; ++i) {
      if (on_host()) samples.peak.push_back(fma_peak(clock_));
      for (std::size_t k = 0; k < sides.size(); ++k)
        samples.seconds[k].push_back(time(sides[k], repeat));
      if (direct) samples.direct.push_back(time(direct, repeat));
    }
    return samples;
  }

 private:
  bool on_host() const { return stream_.device().info().device == "host"; }

  double time(const Run& side, int repeat) const {
    stream_.synchronise();
    const double start = seconds(clock_);
    for (int i = 0; i < repeat; ++i) side();
    stream_.synchronise();
    return (seconds(clock_) - start) / repeat;
  }

  Stream stream_;
  int rounds_;
  Clock clock_;
};

void print_head(const Peer& peer, const DeviceInfo& device, Clock clock) {
  std::printf(
      "curvseg (%s) and %s, %d threads, %s time; ratio: the peer's time over ours, against its "
      "best side. GFLOP/s.\n\n| convolution | curvseg | %% of FMA peak | direct |",
      device.instruction_set.empty() ? device.name.c_str() : device.instruction_set.c_str(),
      peer.name.c_str(), threads(), clock == Clock::kWall ? "wall" : "cpu");
  for (const PeerSide& side : peer.sides) std::printf(" %s |", side.name.c_str());
  std::printf(" ratio |\n| --- | ---: | ---: | ---: |");
  for (std::size_t i = 0; i < peer.sides.size(); ++i) std::printf(" ---: |");
  std::printf(" ---: |\n");
}

void print_row(const std::string& name, double flops, const Samples& samples) {
  const std::vector<double>& ours = samples.seconds[0];
  const auto& best =
      *std::min_element(samples.seconds.begin() + 1, samples.seconds.end(),
                        [](const auto& a, const auto& b) { return median(a) < median(b); });
  std::vector<double> ratios, percents;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(best[i] / ours[i]);
  for (std::size_t i = 0; i < samples.peak.size(); ++i)
    percents.push_back(100.0 * flops / ours[i] / samples.peak[i]);
  const auto whole = [](const std::vector<double>& values, double factor) {
    return values.empty() ? std::string() : std::to_string(std::lround(factor * median(values)));
  };
  std::vector<double> direct;
  for (const double t : samples.direct) direct.push_back(flops / t / 1e9);
  std::printf("| %s | %.1f | %s | %s |", name.c_str(), flops / median(ours) / 1e9,
              whole(percents, 1.0).c_str(), whole(direct, 1.0).c_str());
  for (std::size_t k = 1; k < samples.seconds.size(); ++k)
    std::printf(" %.1f |", flops / median(samples.seconds[k]) / 1e9);
  std::printf(" %.2f [%.2f, %.2f] |\n", median(ratios),
              *std::min_element(ratios.begin(), ratios.end()),
              *std::max_element(ratios.begin(), ratios.end()));
}

void print_list(const std::string& name, const std::vector<double>& values, const char* end) {
  std::printf("\"%s\": [", name.c_str());
  for (std::size_t i = 0; i < values.size(); ++i)
    std::printf("%s%.6g", i == 0 ? "" : ", ", values[i]);
  std::printf("]%s", end);
}

void print_json(const Peer& peer, const std::string& name, double flops, const Samples& samples) {
  std::printf("{\"name\": \"%s\", \"flops\": %.0f, \"sides\": {", name.c_str(), flops);
  print_list("curvseg", samples.seconds[0], "");
  for (std::size_t k = 0; k < peer.sides.size(); ++k) {
    std::printf(", ");
    print_list(peer.sides[k].name, samples.seconds[k + 1], "");
  }
  std::printf("}, ");
  print_list("peak", samples.peak, "}\n");
}

void compare_case(const Conv2dCase& c, const Peer& peer, const Comparison& comparison, bool json) {
  const Stream& stream = comparison.stream();
  for (const auto& [direction_name, direction] : directions(c)) {
    const std::string name = std::string(direction_name) + "/" + c.name;
    Convolution ours(stream, c, direction, true);
    ours.run();
    const std::vector<float> result = ours.result();
    std::vector<Run> runs = {[&] { ours.run(); }};
    std::vector<std::unique_ptr<PeerConvolution>> theirs;
    for (const PeerSide& side : peer.sides) {
      PeerConvolution& convolution = *theirs.emplace_back(side.make(stream, c, direction));
      convolution.run();
      require_same(name, result, convolution.result());
      runs.emplace_back([&] { convolution.run(); });
    }
    std::optional<Convolution> direct;
    if (c.has_choice() && !json) direct.emplace(stream, c, direction, true, ConvAlgorithm::kDirect);
    const Samples samples = comparison.run(runs, direct ? [&] { direct->run(); } : Run());
    const double flops = ours.shapes().flops();
    json ? print_json(peer, name, flops, samples) : print_row(name, flops, samples);
    std::fflush(stdout);
  }
}

}  // namespace

void compare_convolutions(Arguments& arguments, const Peer& peer) {
  const int rounds = arguments.number("pairs", 9);
  const Clock clock = arguments.clock();
  const std::string only = arguments.text("only", "");
  const bool json = arguments.flag("json");
  arguments.done();
  const Comparison comparison(Stream(Device::open(peer.device)), rounds, clock);
  const DeviceInfo device = comparison.stream().device().info();
  if (json)
    std::printf("{\"peer\": \"%s\", \"instruction_set\": \"%s\", \"threads\": %d}\n",
                peer.name.c_str(), device.instruction_set.c_str(), threads());
  else
    print_head(peer, device, clock);
  for (const Conv2dCase& c : kConv2dCases)
    if (std::string(c.name).find(only) != std::string::npos)
      compare_case(c, peer, comparison, json);
}

}  // namespace curvseg::perf
