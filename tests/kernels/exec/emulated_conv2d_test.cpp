// The convolution kernels at the GPU's own block shapes, under every check: compared bitwise, on
// small integers, with a naive reference in double, under three orders of threads and blocks.
#define CURVSEG_TARGET target_emulated
#include "conv2d/launchers.hpp"
#include "emulated_fixture.hpp"

namespace curvseg {
namespace {

using Tensor = std::vector<float>;

std::int64_t elements(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return a * b * c * d;
}

/// Small enough that every sum is exact in float, in any order.
Tensor integers(std::int64_t count, int seed) {
  Tensor values(static_cast<std::size_t>(count));
  unsigned state = static_cast<unsigned>(seed) * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int>(state >> 28) % 7 - 3);
  }
  return values;
}

struct Shape {
  const char* name;
  Conv2dProblem problem;
  int terms;
};

Conv2dProblem problem(int n, int h, int w, int c, int k, int filter, int stride, int dilation,
                      int pad) {
  Conv2dProblem p;
  p.n = n, p.h = h, p.w = w, p.c = c, p.k = k;
  p.r = p.s = filter;
  p.stride_h = p.stride_w = stride;
  p.dilation_h = p.dilation_w = dilation;
  p.pad_h = p.pad_w = pad;
  p.p = (h + 2 * pad - dilation * (filter - 1) - 1) / stride + 1;
  p.q = (w + 2 * pad - dilation * (filter - 1) - 1) / stride + 1;
  return p;
}

Conv2dProblem winograd(Conv2dProblem p) {
  p.algorithm = ConvAlgorithm::kWinograd;
  return p;
}

/// Calls visit(x index, w index, y index) for every product of the forward pass.
template <class Visit>
void for_each_product(const Conv2dProblem& p, Visit visit) {
  for (int n = 0; n < p.n; ++n)
    for (int i = 0; i < p.p; ++i)
      for (int j = 0; j < p.q; ++j)
        for (int r = 0; r < p.r; ++r)
          for (int s = 0; s < p.s; ++s) {
            const int row = i * p.stride_h - p.pad_h + r * p.dilation_h;
            const int column = j * p.stride_w - p.pad_w + s * p.dilation_w;
            if (row < 0 || row >= p.h || column < 0 || column >= p.w) continue;
            for (int c = 0; c < p.c; ++c)
              for (int k = 0; k < p.k; ++k)
                visit(((static_cast<std::size_t>(n) * p.h + row) * p.w + column) * p.c + c,
                      ((static_cast<std::size_t>(r) * p.s + s) * p.c + c) * p.k + k,
                      ((static_cast<std::size_t>(n) * p.p + i) * p.q + j) * p.k + k);
          }
}

class EmulatedConv2d : public EmulatedTest, public ::testing::WithParamInterface<Shape> {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    const Conv2dProblem& p = GetParam().problem;
    for (int t = 0; t < GetParam().terms; ++t) {
      x_.push_back(integers(elements(p.n, p.h, p.w, p.c), 10 + t));
      w_.push_back(integers(elements(p.r, p.s, p.c, p.k), 20 + t));
      y_.push_back(integers(elements(p.n, p.p, p.q, p.k), 30 + t));
    }
  }

  /// Runs `start` under every order into fresh, uninitialised outputs.
  template <class Start>
  void expect_bits(const std::vector<double>& expected, Start start) {
    for (const FiberOrder order :
         {FiberOrder::kAscending, FiberOrder::kDescending, FiberOrder::kShuffled}) {
      set_emulation_options({.order = order, .seed = 11});
      float* out = allocate<float>(expected.size());
      start(out);
      const Tensor result = download(out, expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(result[i], static_cast<float>(expected[i])) << "element " << i;
    }
  }

  void expect_gather(Conv2dDirection direction, const std::vector<double>& expected) {
    const Conv2dProblem& p = GetParam().problem;
    const bool forward = direction == Conv2dDirection::kForward;
    Conv2dGather gather;
    gather.problem = p;
    gather.direction = direction;
    gather.terms = GetParam().terms;
    for (std::size_t t = 0; t < x_.size(); ++t)
      gather.term[t] = {upload(forward ? x_[t] : y_[t]), forward ? p.c : p.k, upload(w_[t])};
    gather.ld_out = forward ? p.k : p.c;
    const auto floats = target_emulated::conv2d_gather_workspace(gather);
    expect_bits(expected, [&](float* out) {
      gather.out = out;
      gather.workspace = allocate<float>(static_cast<std::size_t>(floats));
      target_emulated::conv2d_gather(nullptr, gather);
      synchronise();
    });
  }

  std::vector<Tensor> x_, w_, y_;
};

// ---- traffic -----------------------------------------------------------------------------------

/// What a launch moves, at 64 channels on aligned data: the evidence for a GPU's efficiency where
/// there is none.
class EmulatedConv2dTraffic : public EmulatedTest {
 protected:
  static constexpr int kChannels = 64;

  std::vector<LaunchRecord> records_of_gather(Conv2dDirection direction,
                                              ConvAlgorithm algorithm = ConvAlgorithm::kDirect) {
    Conv2dProblem p = problem(1, 16, 32, kChannels, kChannels, 3, 1, 1, 1);
    p.algorithm = algorithm;
    Conv2dGather gather;
    gather.problem = p;
    gather.direction = direction;
    gather.term[0] = {upload(integers(elements(p.n, p.h, p.w, p.c), 1)), kChannels,
                      upload(integers(elements(p.r, p.s, p.c, p.k), 2))};
    gather.ld_out = kChannels;
    gather.out = allocate<float>(static_cast<std::size_t>(elements(p.n, p.p, p.q, p.k)));
    gather.workspace =
        allocate<float>(static_cast<std::size_t>(target_emulated::conv2d_gather_workspace(gather)));
    set_emulation_options({.counters = true});
    target_emulated::conv2d_gather(nullptr, gather);
    synchronise();
    return take_launch_records();
  }

  static double useful(const LaunchRecord::Global& access) {
    return static_cast<double>(access.bytes) / static_cast<double>(32 * access.sectors);
  }
};

// Of the bytes that 16-byte stores move, those that were asked for: clang makes up to four requests
// of one such store, and each counts its sectors.
#if defined(__clang__)
constexpr double kWholeWrites = 0.25;
#else
constexpr double kWholeWrites = 1.0;
#endif

// Wavefronts in shared memory over the fewest possible, of a kernel that reads four products at a
// time: the compilers split that access, and its store, into requests that meet each other's banks.
#if defined(__clang__)
constexpr double kWinogradReads = 1.6, kWinogradWrites = 1.7;
#else
constexpr double kWinogradReads = 1.2, kWinogradWrites = 1.5;
#endif

TEST_F(EmulatedConv2dTraffic, GatherMovesWholeSectorsWithoutBankConflicts) {
  for (const Conv2dDirection direction : {Conv2dDirection::kForward, Conv2dDirection::kData}) {
    const std::vector<LaunchRecord> records = records_of_gather(direction);
    ASSERT_EQ(records.size(), 2u);
    const LaunchRecord& pack = records[0];
    const LaunchRecord& gather = records[1];
    // Not its reads: one way is a transposition, the other a 16-byte load that g++ splits in four.
    EXPECT_GE(useful(pack.global_writes), kWholeWrites);
    EXPECT_GE(useful(gather.global_reads), 0.99);
    EXPECT_GE(useful(gather.global_writes), kWholeWrites);
    EXPECT_LE(gather.shared_writes.wavefronts, 1.02 * gather.shared_writes.ideal);
    EXPECT_LE(gather.shared_reads.wavefronts, 1.02 * gather.shared_reads.ideal);
  }
}

TEST_F(EmulatedConv2dTraffic, WinogradMovesWholeSectorsAndMeetsABankTwiceOnceABlock) {
  const std::vector<LaunchRecord> records =
      records_of_gather(Conv2dDirection::kForward, ConvAlgorithm::kWinograd);
  ASSERT_EQ(records.size(), 2u);
  const LaunchRecord& winograd = records[1];
  EXPECT_GE(useful(records[0].global_writes), kWholeWrites);
  EXPECT_GE(useful(winograd.global_reads), 0.99);
  EXPECT_GE(useful(winograd.global_writes), kWholeWrites);
  // g++ makes four requests of the one with which a thread reads four products, once a block.
  EXPECT_LE(winograd.shared_reads.wavefronts, kWinogradReads * winograd.shared_reads.ideal);
  // Rows of products that are written lie eight apart in a warp.
  EXPECT_LE(winograd.shared_writes.wavefronts, kWinogradWrites * winograd.shared_writes.ideal);
}

// ---- results -----------------------------------------------------------------------------------

TEST_P(EmulatedConv2d, Forward) {
  const Conv2dProblem& p = GetParam().problem;
  std::vector<double> expected(y_[0].size(), 0.0);
  for (std::size_t t = 0; t < x_.size(); ++t)
    for_each_product(p, [&](std::size_t x, std::size_t w, std::size_t y) {
      expected[y] += static_cast<double>(x_[t][x]) * w_[t][w];
    });
  expect_gather(Conv2dDirection::kForward, expected);
}

TEST_P(EmulatedConv2d, DataGradient) {
  const Conv2dProblem& p = GetParam().problem;
  std::vector<double> expected(x_[0].size(), 0.0);
  for (std::size_t t = 0; t < x_.size(); ++t)
    for_each_product(p, [&](std::size_t x, std::size_t w, std::size_t y) {
      expected[x] += static_cast<double>(y_[t][y]) * w_[t][w];
    });
  expect_gather(Conv2dDirection::kData, expected);
}

TEST_P(EmulatedConv2d, WeightGradient) {
  const Conv2dProblem& p = GetParam().problem;
  std::vector<double> expected(w_[0].size(), 0.0);
  for (std::size_t t = 0; t < x_.size(); ++t)
    for_each_product(p, [&](std::size_t x, std::size_t w, std::size_t y) {
      expected[w] += static_cast<double>(x_[t][x]) * y_[t][y];
    });
  Conv2dWeightGradient gradient;
  gradient.problem = p;
  gradient.terms = GetParam().terms;
  for (std::size_t t = 0; t < x_.size(); ++t)
    gradient.term[t] = {upload(x_[t]), p.c, upload(y_[t]), p.k};
  const auto floats = target_emulated::conv2d_weight_workspace(gradient);
  expect_bits(expected, [&](float* out) {
    gradient.dw = out;
    gradient.workspace = allocate<float>(static_cast<std::size_t>(floats));
    target_emulated::conv2d_weight_gradient(nullptr, gradient);
    synchronise();
  });
}

// The reference is slow and the kernels are checked: small shapes, with a tail in every direction.
INSTANTIATE_TEST_SUITE_P(
    Shapes, EmulatedConv2d,
    ::testing::Values(Shape{"OddChannels", problem(1, 9, 11, 3, 5, 3, 1, 1, 1), 1},
                      Shape{"Stride2", problem(2, 10, 13, 12, 20, 3, 2, 1, 1), 1},
                      Shape{"Dilation2", problem(1, 12, 9, 8, 33, 3, 1, 2, 2), 1},
                      Shape{"TwoTerms", problem(1, 8, 17, 20, 68, 3, 1, 1, 1), 2},
                      Shape{"TwoTermsOddStride2", problem(1, 11, 8, 7, 9, 3, 2, 1, 1), 2},
                      Shape{"Winograd", winograd(problem(1, 9, 11, 10, 35, 3, 1, 1, 1)), 1},
                      Shape{"WinogradTwoTerms", winograd(problem(2, 4, 3, 9, 4, 3, 1, 1, 2)), 2},
                      Shape{"OneByOne", problem(2, 6, 7, 36, 65, 1, 1, 1, 0), 1},
                      Shape{"Splits", problem(2, 16, 20, 4, 8, 3, 1, 1, 1), 1}),
    [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace curvseg
