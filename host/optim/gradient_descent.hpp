// Gradient descent, plain and corrected: into a set, or by a diagonal.
#pragma once

#include <cstdint>
#include <string>

#include "curvseg/optim.hpp"
#include "host/optim/device_value.hpp"
#include "host/optim/step_guard.hpp"
#include "kernels/update/update.hpp"

namespace curvseg {

/// gd, and projected-gd, which differ in the set that theta stays in: all of space, or a box or
/// ball.
class GradientDescent final : public Optimizer {
 public:
  GradientDescent(const Stream& stream, const GradientDescentOptions& options,
                  std::int64_t parameters);
  GradientDescent(const Stream& stream, const ProjectedGdOptions& options, std::int64_t parameters);

  std::string_view name() const override { return name_; }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return guard_.failed(context); }
  void take_back(const StepContext& context) override { guard_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override { return guard_.bytes() + workspace_.bytes(); }
  std::vector<NamedNumber> report(const Stream& stream) override { return guard_.report(stream); }

 private:
  GradientDescent(const Stream& stream, std::string name, std::int64_t parameters, float l2,
                  const ProjectedUpdate& set);

  std::string name_;
  std::int64_t parameters_;
  float l2_;
  ProjectedUpdate set_;  // low, high and radius are
  StepGuard guard_;
  DeviceValue<UpdateScalars> scalars_;
  DeviceArray<float> workspace_;
};

class PreconditionedGd final : public Optimizer {
 public:
  PreconditionedGd(const Stream& stream, const PreconditionedGdOptions& options,
                   std::int64_t parameters);

  std::string_view name() const override { return "preconditioned-gd"; }
  CurvatureKind curvature() const override {
    return measures() ? CurvatureKind::kGaussNewton : CurvatureKind::kNone;
  }
  bool recovers() const override { return true; }
  void step(const StepContext& context) override;
  bool failed(const StepContext& context) override { return guard_.failed(context); }
  void take_back(const StepContext& context) override { guard_.take_back(context); }
  OptimizerState state() override;
  std::size_t state_bytes() const override;
  std::vector<NamedNumber> report(const Stream& stream) override { return guard_.report(stream); }

 private:
  bool measures() const { return options_.preconditioner.data == nullptr && !options_.inverse; }
  void measure(const StepContext& context);

  PreconditionedGdOptions options_;
  std::int64_t parameters_;
  StepGuard guard_;
  DeviceValue<UpdateScalars> scalars_;
  /// The mean of squared gradients, new ones and the mean's weights; empty with a diagonal. With a
  /// map: ones, what it made of the gradient, nothing.
  DeviceArray<float> mean_, value_, weights_;
};

}  // namespace curvseg
