// Convolution in its three directions against oneDNN, in one run.
//
// oneDNN runs twice: on NHWC activations, as ours are, and on the layout it likes best ("any"),
// without counting what it costs to bring the data there; its filters are in its own layout both
// times, reordered beforehand, whereas ours packs its filters within the time. Where there is a
// choice of algorithms, ours is the one that it takes by itself, and the table has its direct sums
// too.
#include "perf/peers/convolution_table.hpp"
#include "perf/peers/onednn_convolution.hpp"

namespace curvseg::perf {
namespace {

// The name of this program: there is one a version of oneDNN.
constexpr const char* kUsage =
    CURVSEG_PROGRAM R"( [--pairs 9] [--clock wall|cpu] [--only PART_OF_A_NAME] [--json]

Convolution in its three directions against oneDNN, in one run, as a Markdown table.
)";

PeerSide side(const char* name, OneDnnLayout layout) {
  return {name, [layout](const Stream&, const Conv2dCase& c, Direction direction) {
            return make_onednn_convolution(c, direction, layout);
          }};
}

void run(Arguments& arguments) {
  compare_convolutions(
      arguments, {.name = "oneDNN " + onednn_version(),
                  .device = "host",
                  .sides = {side("nhwc", OneDnnLayout::kNhwc), side("any", OneDnnLayout::kAny)}});
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, CURVSEG_PROGRAM, kUsage, run);
}
