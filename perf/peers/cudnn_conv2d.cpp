// Convolution in its three directions against cuDNN on a GPU, in one run.
//
// cuDNN runs twice: on NHWC activations, as ours are, and on NCHW; both times with the algorithm
// that its own trials find fastest in float32 arithmetic without tensor cores, and with filters in
// its own layout. Ours packs its filters within the time. Where there is a choice of algorithms,
// ours is the one that it takes by itself, and the table has its direct sums too.
#include "perf/peers/convolution_table.hpp"
#include "perf/peers/cudnn_convolution.hpp"

namespace curvseg::perf {
namespace {

constexpr const char* kUsage =
    R"(cudnn_conv2d [--device cuda] [--pairs 9] [--only PART_OF_A_NAME] [--json]

Convolution in its three directions against cuDNN on a GPU, in one run, as a Markdown table.
)";

PeerSide side(const char* name, CudnnLayout layout) {
  return {name, [layout](const Stream& stream, const Conv2dCase& c, Direction direction) {
            return make_cudnn_convolution(stream, c, direction, layout);
          }};
}

void run(Arguments& arguments) {
  compare_convolutions(
      arguments, {.name = "cuDNN " + cudnn_version(),
                  .device = arguments.text("device", "cuda"),
                  .sides = {side("nhwc", CudnnLayout::kNhwc), side("nchw", CudnnLayout::kNchw)}});
}

}  // namespace
}  // namespace curvseg::perf

int main(int argc, char** argv) {
  using namespace curvseg::perf;
  return run_main(argc, argv, "cudnn_conv2d", kUsage, run);
}
