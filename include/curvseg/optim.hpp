/// \file
/// Optimisers, learning-rate schedules and gradient clipping.
///
/// An optimiser owns its state (momentum, second moments …) as flat device vectors beside theta. A
/// step is a fixed list of launches; whatever changes from step to step is uploaded to device
/// memory first, so nothing waits for the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "curvseg/curvature.hpp"
#include "curvseg/device.hpp"
#include "curvseg/model.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

// ---- learning-rate schedules -------------------------------------------------------------------

/// The shape of a schedule, f(t) after t steps of T.
enum class ScheduleKind {
  kConstant,    ///< f(t) = 1
  kStep,        ///< f(t) = step_factor^⌊t / step_every⌋
  kPolynomial,  ///< f(t) = final_factor + (1 − final_factor) (1 − t/T)^power
  kCosine,      ///< f(t) = final_factor + (1 − final_factor) (1 + cos(π t/T)) / 2
};

/// "constant", "step", "polynomial" or "cosine". \throws InputError naming those.
ScheduleKind schedule_kind(std::string_view name);
/// Its name, as schedule_kind() takes it.
std::string_view to_string(ScheduleKind kind);

/// η(s) = learning_rate · (s + 1) / warmup_steps     for s < warmup_steps,
///      = learning_rate · f(s − warmup_steps)        afterwards, T = total_steps − warmup_steps,
/// where s counts the steps done before this one; f stays at f(T) beyond T.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  double learning_rate = 0.0;  ///< the peak; 0: default_learning_rate() of the optimiser
  std::uint64_t warmup_steps = 0;
  std::uint64_t total_steps = 0;  ///< warm-up included; 0: Trainer::fit() knows it
  double final_factor = 0.0;      ///< polynomial, cosine: what is left at the end
  double power = 0.9;             ///< polynomial
  std::uint64_t step_every = 0;   ///< step: steps between drops; 0: a third of total_steps
  double step_factor = 0.1;       ///< step
};

/// η(s), a pure function.
/// \throws std::invalid_argument when the kind needs total_steps and it is 0, or a field is out of
///         range.
double learning_rate(const ScheduleOptions& options, std::uint64_t steps_done);

// ---- optimisers --------------------------------------------------------------------------------

/// How parameters (weights and biases alike) are pulled towards zero. Coupled terms join the
/// gradient before the method sees it; decoupled ones act on theta beside it.
struct RegularisationOptions {
  float l1 = 0.0f;            ///< coupled subgradient: g += l1·sign(θ)
  float l2 = 0.0f;            ///< coupled: g += l2·θ, "weight decay" of SGD and Adam
  float decoupled_l2 = 0.0f;  ///< θ ← θ(1 − η·decoupled_l2), "weight decay" of AdamW
  float proximal_l1 = 0.0f;   ///< after the step: θ ← sign(θ)·max(|θ| − η·proximal_l1, 0)
};

/// m ← momentum·m + g;  θ ← θ − η·(nesterov ? g + momentum·m : m). PyTorch's convention.
struct SgdOptions {
  float momentum = 0.9f;
  bool nesterov = false;
  RegularisationOptions regularisation = {};
};

/// Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019) is Adam with decoupled_l2.
struct AdamOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  RegularisationOptions regularisation = {};
};

/// Which optimiser, and the options of each; only those of the one that is named are used.
struct OptimizerOptions {
  std::string name = "adam";  ///< one of optimizer_names()
  SgdOptions sgd = {};
  AdamOptions adam = {};
  AdamOptions adamw = {.regularisation = {.decoupled_l2 = 0.01f}};
};

/// What an optimiser may use to make one step. All memory is on the stream's device and belongs to
/// the caller.
struct StepContext {
  const Stream& stream;
  VectorView theta = {};                ///< updated
  VectorView grad = {};                 ///< dL/dtheta of this batch; the optimiser may overwrite it
  std::uint64_t step = 0;               ///< 1 for the first
  float learning_rate = 0.0f;           ///< η of this step
  float max_norm = 0.0f;                ///< the gradient is scaled down to this norm; 0: it is not
  const float* squared_norm = nullptr;  ///< device, Σ grad²; nullptr only when max_norm is 0

  /// The loss of the batch that gave the gradient, linearised at theta, for methods that look at
  /// curvature or try a step. nullptr in calls that have no model.
  BatchLoss* batch = nullptr;
};

/// Device memory that belongs to the state of an optimiser.
struct StateTensor {
  std::string name;  ///< "momentum"
  VectorView data;
  /// Its extents; empty: laid out as theta, and then stored parameter by parameter.
  std::vector<std::int64_t> shape;
};

/// All that an optimiser remembers between steps. Scalars are text so that they survive bit by bit.
struct OptimizerState {
  std::vector<StateTensor> tensors;
  std::map<std::string, std::string> scalars;
};

/// A number and what it is called.
struct NamedNumber {
  std::string name;
  double value = 0.0;
};

/// One method. Used by one thread at a time.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual std::string_view name() const = 0;
  /// What it asks of StepContext::batch.
  virtual CurvatureKind curvature() const { return CurvatureKind::kNone; }

  /// theta ← its next value. Asynchronous; any number of steps may be under way.
  /// \throws std::invalid_argument if theta or grad have another size than the optimiser was made
  ///         for, or max_norm is set and squared_norm is not.
  virtual void step(const StepContext& context) = 0;

  /// Views of the state, for checkpoints: read or write them in the order of the stream that the
  /// steps are on.
  virtual OptimizerState state() = 0;
  /// Takes the scalars of a state() back. \throws InputError for one that is missing or malformed.
  virtual void restore_scalars(const std::map<std::string, std::string>& scalars);

  /// Device memory of the state.
  virtual std::size_t state_bytes() const = 0;

  /// Numbers of the last step for a log, for instance {"lambda", 0.1}. May wait for the stream.
  virtual std::vector<NamedNumber> report() { return {}; }

 protected:
  Optimizer() = default;
};

/// Makes the optimiser `options.name` for the parameters of `model`, its state zeroed in the order
/// of `stream`. Work on it must be done before it is destroyed.
/// \throws InputError for an unknown name, listing those there are, or an option out of range.
std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          const Model& model);
/// The same for `parameters` elements of theta that belong to no model.
/// \throws InputError also for a method that looks at the layers of a model.
std::unique_ptr<Optimizer> make_optimizer(const Stream& stream, const OptimizerOptions& options,
                                          std::int64_t parameters);

/// "sgd", "adam", "adamw".
std::vector<std::string> optimizer_names();

/// A peak learning rate that trains the models of the zoo. \throws InputError for an unknown name.
double default_learning_rate(std::string_view optimizer);

}  // namespace curvseg
