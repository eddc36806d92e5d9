// SGD and Adam: one fused kernel a step over flat memory.
#pragma once

#include <cstdint>
#include <string>

#include "curvseg/optim.hpp"
#include "curvseg/tensor.hpp"
#include "host/optim/device_value.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

class Sgd final : public Optimizer {
 public:
  Sgd(const Stream& stream, const SgdOptions& options, std::int64_t parameters);

  std::string_view name() const override { return "sgd"; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  std::size_t state_bytes() const override { return momentum_.bytes(); }

 private:
  SgdOptions options_;
  std::int64_t parameters_;
  DeviceValue<UpdateScalars> scalars_;
  DeviceArray<float> momentum_;  // empty when momentum is 0
};

/// Adam and AdamW, which differ in their regularisation only.
class Adam final : public Optimizer {
 public:
  Adam(const Stream& stream, std::string name, const AdamOptions& options, std::int64_t parameters);

  std::string_view name() const override { return name_; }
  void step(const StepContext& context) override;
  OptimizerState state() override;
  std::size_t state_bytes() const override { return m_.bytes() + v_.bytes(); }

 private:
  std::string name_;
  AdamOptions options_;
  std::int64_t parameters_;
  DeviceValue<UpdateScalars> scalars_;
  DeviceArray<float> m_, v_;
};

}  // namespace curvseg
