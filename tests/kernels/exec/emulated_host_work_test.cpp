// Work of an emulated stream that a function of the host does: late, in order, and checked like the
// kernels around it. By the inverse of a matrix.
#include "emulated_fixture.hpp"
#include "planted_defects.hpp"

extern "C" const curvseg::Kernels* curvseg_kernels_target_emulated();

namespace curvseg {
namespace {

using namespace target_emulated;

constexpr int kRows = 4;
constexpr std::size_t kMatrixFloats = kRows * kRows;

class EmulatedHostWork : public EmulatedTest {
 protected:
  void SetUp() override {
    EmulatedTest::SetUp();
    for (StreamHandle& stream : stream_) stream = runtime_.create_stream(0);
    inverse_ = allocate<float>(kMatrixFloats);
    InverseSpd p;
    p.count = 1;
    p.matrix[0].n = kRows;
    workspace_ = allocate<float>(
        static_cast<std::size_t>(curvseg_kernels_target_emulated()->inverse_spd_workspace(p)));
  }
  void TearDown() override {
    for (const StreamHandle stream : stream_) runtime_.destroy_stream(stream);
    EmulatedTest::TearDown();
  }
  static std::vector<float> diagonal(float value) {
    std::vector<float> a(kMatrixFloats);
    for (std::size_t i = 0; i < kRows; ++i) a[i * kRows + i] = value;
    return a;
  }
  void invert(StreamHandle stream, const float* a, std::int64_t ld = kRows) {
    InverseSpd p;
    p.count = 1;
    p.matrix[0] = {kRows, a, ld, inverse_, kRows, nullptr};
    p.workspace = workspace_;
    curvseg_kernels_target_emulated()->inverse_spd(stream, p);
  }
  std::string synchronise_and_report(StreamHandle stream) {
    return target_error([&] { runtime_.synchronise(0, stream); });
  }

  StreamHandle stream_[2] = {};
  float* inverse_ = nullptr;
  float* workspace_ = nullptr;
};

TEST_F(EmulatedHostWork, IsLateAndItsOutputCountsAsWritten) {
  const float* a = upload(diagonal(4.0f));
  inverse_[0] = -1.0f;
  invert(stream_[0], a);
  EXPECT_EQ(inverse_[0], -1.0f);
  float* copy = allocate<float>(kMatrixFloats);
  read_all(stream_[0], inverse_, copy, kMatrixFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  EXPECT_EQ(inverse_[0], 0.25f);
  EXPECT_EQ(inverse_[1], 0.0f);
}

TEST_F(EmulatedHostWork, UninitialisedInput) {
  invert(nullptr, allocate<float>(kMatrixFloats));
  expect_parts(synchronise_and_report(nullptr),
               {"inverse_spd", "uninitialised read", "row 0 of its input"});
}

TEST_F(EmulatedHostWork, OutOfBounds) {
  invert(nullptr, upload(diagonal(1.0f)), kRows + 1);
  expect_parts(synchronise_and_report(nullptr), {"inverse_spd", "out of bounds", "input"});
}

TEST_F(EmulatedHostWork, UseAfterFree) {
  float* a = upload(diagonal(1.0f));
  invert(nullptr, a);
  release(a);
  expect_parts(synchronise_and_report(nullptr), {"inverse_spd", "use after free", "input"});
}

TEST_F(EmulatedHostWork, MissingWaitForItsInput) {
  float* a = upload(diagonal(1.0f));
  write_all(stream_[0], a, kMatrixFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  write_all(stream_[0], a, kMatrixFloats);
  invert(stream_[1], a);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  expect_parts(synchronise_and_report(stream_[1]),
               {"inverse_spd", "missing stream wait", "input", "kernel write_all_kernel"});
}

TEST_F(EmulatedHostWork, MissingWaitForItsOutput) {
  invert(stream_[0], upload(diagonal(1.0f)));
  read_all(stream_[1], inverse_, allocate<float>(kMatrixFloats), kMatrixFloats);
  EXPECT_EQ(synchronise_and_report(stream_[0]), "");
  expect_parts(synchronise_and_report(stream_[1]),
               {"missing stream wait", "kernel read_all_kernel", "kernel inverse_spd"});
}

TEST_F(EmulatedHostWork, AfterAFailureTheOutputIsStillNobodys) {
  invert(stream_[0], upload(diagonal(-1.0f)));
  read_all(stream_[0], inverse_, allocate<float>(kMatrixFloats), kMatrixFloats);
  expect_parts(synchronise_and_report(stream_[0]),
               {"uninitialised read", "kernel read_all_kernel"});
}

}  // namespace
}  // namespace curvseg
