/// \file
/// Optimisers, learning-rate schedules and gradient clipping.
///
/// An optimiser owns its state (momentum, second moments …) as flat device vectors beside theta. A
/// step is a fixed list of launches; whatever changes from step to step lies in device memory,
/// written there in stream order.
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
#include "curvseg/solvers.hpp"
#include "curvseg/tensor.hpp"

namespace curvseg {

// ---- learning-rate schedules -------------------------------------------------------------------

/// The shape of a schedule, f(t) after t steps of T.
enum class ScheduleKind {
  kConstant,    ///< f(t) = 1
  kStep,        ///< f(t) = step_factor^⌊t / step_every⌋, or step_factor^min(2, ⌊3t/T⌋)
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
  ScheduleKind kind = ScheduleKind::kConstant;  ///< which f
  double learning_rate = 0.0;      ///< the peak; 0: default_learning_rate() of the optimiser
  std::uint64_t warmup_steps = 0;  ///< over which it rises to the peak; 0: none
  std::uint64_t total_steps = 0;   ///< warm-up included; 0: Trainer::fit() knows it
  double final_factor = 0.0;       ///< polynomial, cosine: what is left at the end
  double power = 0.9;              ///< polynomial
  std::uint64_t step_every = 0;    ///< step: steps between drops; 0: drops after thirds of T
  double step_factor = 0.1;        ///< step
};

/// η(s), a pure function.
/// \throws std::invalid_argument when the kind needs total_steps and it is 0, or a field is out of
///         range: negative, not finite, or a learning_rate beyond single precision.
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
  float momentum = 0.9f;                      ///< in [0, 1)
  bool nesterov = false;                      ///< needs a momentum above 0
  RegularisationOptions regularisation = {};  ///< by default none
};

/// m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − η·m̂ / (√v̂ + ε) in step t, m̂ = m / (1−β₁^t),
/// v̂ = v / (1−β₂^t).
/// Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019) is Adam with decoupled_l2.
struct AdamOptions {
  float beta1 = 0.9f;                         ///< of m, in [0, 1)
  float beta2 = 0.999f;                       ///< of v, in [0, 1)
  float epsilon = 1e-8f;                      ///< at least 0, in the unit of the gradient
  RegularisationOptions regularisation = {};  ///< by default none
};

/// FOOF (Benzing 2022), the input side of K-FAC, with step and momentum from the exact
/// two-dimensional quadratic model (Martens & Grosse 2015, section 7): no learning rate. The
/// learning rate of the schedule is a factor of the step, 1 by default.
struct FoofOptions {
  float damping = 0.01f;         ///< of a layer's factor, in its mean eigenvalues
  float factor_decay = 0.95f;    ///< of the factors' means over observations
  int positions = 256;           ///< patches of a layer that an observation looks at
  int factor_every = 5;          ///< steps between observations
  int inverse_every = 20;        ///< steps between inversions
  float momentum = 0.7f;         ///< of the mean gradient
  float batch_fraction = 0.25f;  ///< of the images that the quadratic model is measured on
  float model_damping = 0.03f;   ///< λ of the quadratic model
  /// Along the previous step too (μ); false: along the new direction alone (μ = 0), which saves an
  /// R-forward pass.
  bool previous_direction = true;
  float smoothing = 0.8f;  ///< of the quadratic model's numbers over steps
  /// Of dᵀGd / m·d, m the mean gradient, over the steps that measure it. 0 with the previous
  /// direction.
  float curvature_smoothing = 0.0f;
  /// The steps that measure dᵀGd: the first ten, then every such one. 1 with the previous
  /// direction.
  int model_every = 1;
  float radius = 0.05f;  ///< nats a pixel that a step may change the output by
  float l2 = 0.0f;       ///< of the loss: + ½·l2·|θ|², in gradient and model
};

/// SOAP (Vyas et al. 2025): Adam in the eigenbasis of Shampoo's preconditioner. For the gradient G
/// [C, K] of each tap of a filter θ ← θ − η·U·Adam(UᵀG·V)·Vᵀ, U and V the eigenvectors of the
/// running sums L of Σ_taps G·Gᵀ and R of Σ_taps Gᵀ·G. By itself, and not in auto, which has its
/// own rule, steps are taken back as in gradient descent; the gradient of a batch that is rejected
/// counts as 0.
struct SoapOptions {
  float beta1 = 0.9f;          ///< of Adam, as the next two: see AdamOptions
  float beta2 = 0.95f;         ///< of squared gradients in the eigenbasis
  float epsilon = 1e-8f;       ///< added to their root
  float factor_decay = 0.95f;  ///< of L and R, from a gradient that they see to the next
  int factor_every = 1;        ///< L and R see the first gradient and every such one after it
  int basis_every = 10;        ///< steps between refreshed bases
  int largest_basis = 128;     ///< channels that share a basis; of more, groups do; 1: Adam
  float decoupled_l2 = 0.0f;   ///< as in RegularisationOptions
};

/// Muon (Jordan et al. 2024): orthogonalised momentum for weights, Adam for the rest. With
/// M = U·Σ·Vᵀ Nesterov's momentum of a layer's weights, as a matrix [R·S·C, K], and n its longer
/// side, θ ← θ − η·0.2·√n·U·Vᵀ; five Newton-Schulz iterations approximate U·Vᵀ. Steps are
/// taken back as in soap.
struct MuonOptions {
  float momentum = 0.95f;     ///< of weights, in [0, 1)
  float beta1 = 0.9f;         ///< of Adam, as the next two: see AdamOptions
  float beta2 = 0.95f;        ///< of squared gradients
  float epsilon = 1e-8f;      ///< added to their root
  float decoupled_l2 = 0.0f;  ///< of all parameters, as in RegularisationOptions
};

/// FOOF for the first steps, then SOAP with a learning rate that curvature measured: none to set.
/// The learning rate of the schedule is a factor of the step, 1 by default.
///
/// `foof` and `soap` have settings of their own here: change single fields, as in
/// options.automatic.foof.l2 = 1e-4f, where {.l2 = 1e-4f} would bring back those of the methods by
/// themselves.
struct AutoOptions {
  std::uint64_t foof_steps = 240;     ///< the first, which are FOOF's
  std::uint64_t watched_steps = 60;   ///< the last of FOOF, whose gradients SOAP has seen
  std::uint64_t measured_steps = 40;  ///< of SOAP, in which its learning rate is measured
  int measure_every = 4;              ///< of these the first is measured, then every such one
  /// Without the previous direction: the mean gradient has the momentum, and μ comes out 0. That
  /// makes room for a curvature that is smoothed, and measured half as often.
  FoofOptions foof = {.previous_direction = false, .curvature_smoothing = 0.5f, .model_every = 2};
  /// Its factors see every second gradient. decoupled_l2 is not used: `foof.l2` is in both parts.
  SoapOptions soap = {.factor_every = 2};
};

/// Gradient descent: θ ← θ − η·g. For the descent of the textbooks the batch has to be the whole
/// set: TrainerOptions::batch, in the memory of a few images with images_at_once; the command does
/// so. Steps that lead to a loss that is not finite or far too high are taken back, and the next
/// ones are shorter.
struct GradientDescentOptions {
  float l2 = 0.0f;  ///< of the loss: + ½·l2·|θ|²
};

/// θ ← θ − η·g / (v + damping), v the running mean of Σ_n grad_n², the squared gradients of single
/// images (BatchLoss::squared_gradients()). Or with a preconditioner that the caller gives. Steps
/// are taken back as in gradient descent.
struct PreconditionedGdOptions {
  float damping = 1e-3f;  ///< at least 1e-12, in the unit of v
  float decay = 0.95f;    ///< of the mean, over steps
  float l2 = 0.0f;        ///< of the loss: + ½·l2·|θ|²
  /// The inverse of the preconditioner as a diagonal, θ ← θ − η·preconditioner∘g, as long as theta,
  /// in memory of the stream's device that stays; then damping and decay are not used. Not in
  /// checkpoints: give it again to resume.
  ConstVectorView preconditioner = {};
  /// Or the inverse of any preconditioner, θ ← θ − η·inverse(g), called once a step, its work on
  /// the stream of the optimiser: linear, since g (with its share of l2) is not clipped yet;
  /// padding between parameters must stay 0. Of a gradient that is not finite the result is thrown
  /// away. For it too damping and decay are not used, and no checkpoint has it.
  LinearMap inverse = {};
};

/// Gradient descent whose every step ends at the nearest point of a box, lower ≤ θ_i ≤ upper, which
/// 0 is in, or of the ball ‖θ‖ ≤ radius. By default a box that weights which begin as the models'
/// do are inside of.
struct ProjectedGdOptions {
  float lower = -3.0f;  ///< at most 0; not used with a radius
  float upper = 3.0f;   ///< at least 0; not used with a radius
  float radius = 0.0f;  ///< 0: no ball, but the box
  float l2 = 0.0f;      ///< of the loss: + ½·l2·|θ|²
};

/// How the diagonal of the curvature is estimated.
enum class DiagonalEstimator {
  /// Of the Hessian: z∘(d²L/dθ²·z) for random signs z (AdaHessian, Sophia-H).
  kHutchinson,
  /// Of the Gauss-Newton matrix: D·ĝ², ĝ the gradient with labels sampled from the model and D its
  /// denominator (Sophia-G). For cross-entropy alone.
  kGaussNewtonBartlett,
};

/// m ← β₁m + (1−β₁)g and, every `refresh_every` steps, h ← its running mean with an estimate:
///
///   θ ← θ(1 − η·decoupled_l2) − η·clip(m / max(γ·h, ε), ±clip)
///
/// Steps are taken back as in gradient descent. The fields are by default those of "sophia".
struct DampedDiagonalOptions {
  /// The name of a damped_diagonal_preset(), which then stands for all the other fields but
  /// decoupled_l2 where that is at least 0; "": they count as they are.
  std::string preset = "sophia";
  /// Which estimates h is the mean of; mean_square is for kHutchinson alone.
  DiagonalEstimator estimator = DiagonalEstimator::kGaussNewtonBartlett;
  float beta1 = 0.96f;     ///< of m, in [0, 1)
  float beta2 = 0.99f;     ///< of h over refreshes, in [0, 1)
  float gamma = 0.05f;     ///< the smaller, the more elements are clipped
  float epsilon = 1e-12f;  ///< in place of γ·h where that is smaller or negative; ≥ 1e-30
  float clip = 1.0f;       ///< of elements of the step; 0: none
  /// The gradient is shortened to this norm before it enters m, or to StepContext::max_norm where
  /// that is smaller; 0: not by the method itself.
  float clip_norm = 1.0f;
  int refresh_every = 10;      ///< k, steps from one estimate to the next
  bool mean_square = false;    ///< h is the root of a running mean of squares
  bool unbiased = false;       ///< m and h are divided by 1 − β^t; else they start at 0
  bool spatial_mean = false;   ///< estimates are averaged over the taps of a filter
  float decoupled_l2 = -1.0f;  ///< below 0: that of the preset, without one 0
};

/// Published settings, its `preset` then "".
/// - "sophia", "sophia-g": Gauss-Newton-Bartlett, β 0.96 and 0.99, γ 0.05, ε 1e-12, k 10, weight
///   decay 0.2, clip 1, the gradient's norm at most 1; "sophia-h": Hutchinson, γ 0.01. Liu et al.,
///   "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training", ICLR
///   2024, section 3 and appendix.
/// - "adahessian": Hutchinson at every step, spatially averaged, root mean square, β 0.9 and 0.999,
///   ε 1e-4, no clip, weight decay 5e-4, to be used at a learning rate of 0.15. Yao et al.,
///   "ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning", AAAI 2021, and the
///   authors' code for CIFAR-10.
/// \throws InputError for another name.
DampedDiagonalOptions damped_diagonal_preset(std::string_view name);

/// Hessian-free optimisation (Martens, ICML 2010; Martens & Sutskever 2012): δ by conjugate
/// gradients on (G + λI)δ = −g, begun at `warm_start` times the last solution, preconditioned by
/// (Σ_n grad_n² + λ)^¾; the earliest of its kept iterates that the loss does not prefer a later one
/// to; the longest step α = η·line_shrink^j with L(θ + α·δ) ≤ L(θ) + armijo·α·gᵀδ, else none. λ by
/// Levenberg and Marquardt: ρ = change of the loss / change of the model, both at θ + η·δ; below ¼,
/// or where the loss rises or is not finite, λ ← 3/2·λ, above ¾ λ ← 2/3·λ. Needs no learning rate:
/// η, that of the schedule, is a factor of the steps that are tried, 1 by default.
struct HessianFreeOptions {
  float damping = 0.1f;  ///< the first λ
  /// Whether the model of ρ has ½λ|δ|² in it, as in Martens 2010; published codes differ.
  bool damping_in_ratio = true;
  float warm_start = 0.95f;     ///< 0: every solve begins at 0
  bool precondition = true;     ///< false: plain conjugate gradients, and no Σ_n grad_n²
  float batch_fraction = 1.0f;  ///< of the images, the first ones, that G is of
  int max_iterations = 100;     ///< of conjugate gradients
  /// Where they end, see ConjugateGradientsOptions::model_tolerance.
  float model_tolerance = 5e-4f;
  float armijo = 1e-2f;      ///< in [0, 1)
  float line_shrink = 0.8f;  ///< in [0.001, 1)
  int line_steps = 40;       ///< j is below it
  float l2 = 0.0f;           ///< of the loss: + ½·l2·|θ|², in gradient and model
};

/// Newton's method in a trust region: δ by Steihaug's truncated conjugate gradients on the exact
/// Hessian, which go to the boundary along directions of negative curvature. ρ = change of the loss
/// / change of the model, both at θ + η·δ; below ¼ radius ← ¼·|δ|; above ¾ and on the boundary
/// radius doubles; the step, η·δ, is taken where ρ > acceptance (Nocedal & Wright 2006, algorithm
/// 4.1, but for |δ| in place of the radius). A batch that is not finite is rejected, and the radius
/// falls to a quarter. Needs no learning rate, as hessian-free.
struct NewtonCgOptions {
  float radius = 1.0f;            ///< the first one, Euclidean
  float largest_radius = 100.0f;  ///< it grows no further; at least `radius`
  float acceptance = 1e-4f;       ///< in [0, ¼)
  int max_iterations = 50;        ///< of conjugate gradients
  /// Where they end, see ConjugateGradientsOptions::model_tolerance.
  float model_tolerance = 5e-4f;
  float residual_tolerance = 0.0f;  ///< conjugate gradients end at ‖r‖ ≤ it·‖g‖
  float l2 = 0.0f;                  ///< of the loss: + ½·l2·|θ|², in gradient and model
};

/// Newton's method by the book: the Hessian is formed, column by column, and (H + λI)δ = −g solved
/// on the host, for networks of a few thousand parameters. λ is raised until H + λI is positive
/// definite and the loss falls, and follows ρ as in hessian-free. A batch that is not finite is
/// rejected, and raises λ too. Needs no learning rate, likewise.
struct NewtonOptions {
  float damping = 1e-3f;  ///< the first λ
  int largest = 4096;     ///< more parameters are refused; at most 16384
  float l2 = 0.0f;        ///< of the loss: + ½·l2·|θ|², in gradient and model
};

/// Which optimiser, and the options of each; only those of the one that is named are used.
struct OptimizerOptions {
  std::string name = "auto";                                        ///< one of optimizer_names()
  SgdOptions sgd = {};                                              ///< of "sgd"
  AdamOptions adam = {};                                            ///< of "adam"
  AdamOptions adamw = {.regularisation = {.decoupled_l2 = 0.01f}};  ///< of "adamw"
  FoofOptions foof = {};                                            ///< of "foof"
  SoapOptions soap = {};                                            ///< of "soap"
  MuonOptions muon = {};                                            ///< of "muon"
  AutoOptions automatic = {};                                       ///< of "auto"
  GradientDescentOptions gd = {};                                   ///< of "gd"
  PreconditionedGdOptions preconditioned_gd = {};                   ///< of "preconditioned-gd"
  ProjectedGdOptions projected_gd = {};                             ///< of "projected-gd"
  DampedDiagonalOptions damped_diagonal = {};                       ///< of "damped-diagonal"
  HessianFreeOptions hessian_free = {};                             ///< of "hessian-free"
  NewtonCgOptions newton_cg = {};                                   ///< of "newton-cg"
  NewtonOptions newton = {};                                        ///< of "newton"
};

/// What an optimiser may use to make one step. All memory is on the stream's device and belongs to
/// the caller.
struct StepContext {
  const Stream& stream;        ///< on which the step is enqueued
  VectorView theta = {};       ///< updated
  VectorView grad = {};        ///< dL/dtheta of this batch; the optimiser may overwrite it
  std::uint64_t step = 0;      ///< 1 for the first
  float learning_rate = 0.0f;  ///< η of this step
  float max_norm = 0.0f;       ///< the gradient is scaled down to this norm; 0: it is not
  /// Device, Σ grad²: where it is not finite the step is rejected, so that what overflowed enters
  /// no mean. nullptr, only when max_norm is 0: nobody looks.
  const float* squared_norm = nullptr;

  /// The loss of the batch that gave the gradient, linearised at theta, for methods that look at
  /// curvature or try a step; made for curvature() and images_at_once() of the optimiser. nullptr
  /// in calls that have no model.
  BatchLoss* batch = nullptr;
};

/// Device memory that belongs to the state of an optimiser.
struct StateTensor {
  std::string name;  ///< "momentum"
  VectorView data;   ///< memory of the optimiser, valid as long as it lives
  /// Its extents; empty: laid out as theta, and then stored parameter by parameter.
  std::vector<std::int64_t> shape;
};

/// All that an optimiser remembers between steps. Scalars are text so that they survive bit by bit.
struct OptimizerState {
  std::vector<StateTensor> tensors;            ///< views: what is written there is restored
  std::map<std::string, std::string> scalars;  ///< for Optimizer::restore_scalars()
};

/// A number and what it is called, or a text, as why a solver stopped: then value is 0.
struct NamedNumber {
  std::string name;       ///< a key for logs, as "cg_iterations"
  double value = 0.0;     ///< 0 where there is a text
  std::string text = {};  ///< empty: it is a number
};

/// One method. Used by one thread at a time.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual std::string_view name() const = 0;  ///< as OptimizerOptions::name
  /// What it asks of StepContext::batch.
  virtual CurvatureKind curvature() const { return CurvatureKind::kNone; }
  /// Of how many images of a batch of `images` that BatchLoss takes gradients and products at once;
  /// 0: of as many as it does by itself.
  virtual int images_at_once(int /*images*/) const { return 0; }
  /// True if it takes back a step that led to a loss that is not finite or far too high.
  virtual bool recovers() const { return false; }

  /// theta ← its next value. Asynchronous, with any number of steps under way; "hessian-free",
  /// "newton-cg" and "newton" wait for what they decide by.
  /// \throws std::invalid_argument if theta or grad have another size than the optimiser was made
  ///         for, or max_norm is set and squared_norm is not.
  virtual void step(const StepContext& context) = 0;

  /// Whether the last step failed by the loss that context.batch has at theta, for methods that a
  /// later step would learn it from: the last step of a training has none. Changes nothing. Waits.
  virtual bool failed(const StepContext& /*context*/) { return false; }
  /// theta ← what it was before the last step, where that failed(). The state stays as it is: a
  /// training that goes on does so from the theta that the step led to, and rejects it then.
  virtual void take_back(const StepContext& /*context*/) {}

  /// Views of the state, for checkpoints: read or write them in the order of the stream that the
  /// steps are on.
  virtual OptimizerState state() = 0;
  /// Takes the scalars of a state() back. \throws InputError for one that is missing or malformed.
  virtual void restore_scalars(const std::map<std::string, std::string>& scalars);

  /// Device memory of the state.
  virtual std::size_t state_bytes() const = 0;

  /// Numbers of the last step for a log, for instance {"lambda", 0.1}. May wait for the stream.
  virtual std::vector<NamedNumber> report(const Stream& /*stream*/) { return {}; }

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

/// "auto", "foof", "soap", "muon", "hessian-free", "newton-cg", "damped-diagonal",
/// "preconditioned-gd", "projected-gd", "gd", "newton", "sgd", "adam", "adamw".
std::vector<std::string> optimizer_names();

/// A peak learning rate that trains the models of the zoo; 1 for a method that needs none, where it
/// is a factor of the step. \throws InputError for an unknown name.
double default_learning_rate(std::string_view optimizer);
/// The same of an optimiser with these options: a preset has its own.
double default_learning_rate(const OptimizerOptions& options);
/// Whether the method needs a learning rate. \throws InputError for an unknown name.
bool needs_learning_rate(std::string_view optimizer);
/// Whether the method heeds TrainerOptions::clip_norm: the steps of others do not depend on the
/// length of the gradient. \throws InputError for an unknown name.
bool takes_clipping(std::string_view optimizer);

}  // namespace curvseg
