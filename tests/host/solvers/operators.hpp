// Operators with known answers, on any device.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "curvseg/solvers.hpp"
#include "curvseg/tensor.hpp"
#include "reference/symmetric.hpp"
#include "support/devices.hpp"

namespace curvseg {

inline void PrintTo(ConjugateGradientsStop stop, std::ostream* to) { *to << to_string(stop); }

}  // namespace curvseg

namespace curvseg::testing {

inline std::vector<double> doubles(const std::vector<float>& x) { return {x.begin(), x.end()}; }
inline std::vector<float> floats(const std::vector<double>& x) {
  std::vector<float> result;
  for (const double value : x) result.push_back(static_cast<float>(value));
  return result;
}

/// A test on every device that solvers are cheap enough for.
class SolverTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool emulated() const { return GetParam() == "emulated"; }

  DeviceArray<float> upload(const std::vector<float>& values) const {
    DeviceArray<float> result(device_, static_cast<std::int64_t>(values.size()));
    result.upload(stream_, values.data(), result.size());
    stream_.synchronise();
    return result;
  }
  DeviceArray<float> upload(const std::vector<double>& values) const {
    return upload(floats(values));
  }
  static VectorView view(const DeviceArray<float>& a) { return {a.data(), a.size()}; }
  std::vector<float> download(const DeviceArray<float>& a) const { return a.to_host(stream_); }
  std::vector<float> download(ConstVectorView v) const { return values_of(stream_, v); }

  /// A·v for a diagonal A; the map keeps it.
  LinearMap diagonal(const std::vector<float>& elements) const {
    auto memory = std::make_shared<DeviceArray<float>>(upload(elements));
    return [this, memory](ConstVectorView v, VectorView product) {
      multiply(stream_, view(*memory), v, 1.0f, false, product);
    };
  }
  /// A·v for a dense A: a convolution of one pixel.
  LinearMap dense(const reference::Symmetric& a) const {
    const int n = static_cast<int>(a.n);
    auto memory = std::make_shared<DeviceArray<float>>(upload(a.element));
    const ConstFilterView w(memory->data(), 1, 1, n, n);
    const std::size_t bytes = conv2d_forward_workspace(device_, {1, 1, 1, n}, w, {});
    auto scratch = std::make_shared<DeviceArray<float>>(
        device_, static_cast<std::int64_t>(bytes / sizeof(float)) + 1);
    return [this, n, memory, w, scratch](ConstVectorView v, VectorView product) {
      conv2d_forward(stream_, ConstTensorView(v.data, {1, 1, 1, n}), w, {},
                     {scratch->data(), scratch->bytes()}, TensorView(product.data, {1, 1, 1, n}));
    };
  }

  Device device_ = Device::open(GetParam());
  Stream stream_{device_};
};

#define CURVSEG_INSTANTIATE_DEVICES(Suite)                                           \
  INSTANTIATE_TEST_SUITE_P(Devices, Suite,                                           \
                           ::testing::ValuesIn(::curvseg::testing::cheap_devices()), \
                           [](const auto& parameter) { return parameter.param; })

template <class Call>
void expect_refused(Call call, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "accepted; expected a refusal with \"" << part << "\"";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace curvseg::testing
