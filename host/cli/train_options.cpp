#include "host/cli/train_options.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "curvseg/optim.hpp"
#include "host/cli/crop_and_augment.hpp"
#include "host/optim/check_options.hpp"

namespace curvseg::cli {
namespace {

constexpr std::uint64_t kDefaultEpochs = 20;
constexpr const char* kRecommendedOptimizer = "auto";

template <class T>
void set(T& field, const std::optional<T>& given) {
  if (given) {
    field = *given;
  }
}

void require(bool condition, const std::string& message) {
  if (!condition) {
    throw InputError(message);
  }
}

void apply_optimizer(const TrainArguments& arguments, TrainerOptions& options) {
  OptimizerOptions& o = options.optimizer;
  if (arguments.optimizer) {
    o.name = *arguments.optimizer;
    static_cast<void>(default_learning_rate(o.name));  // throws for an unknown name
  }
  if (arguments.weight_decay) {
    const float decay = *arguments.weight_decay;
    require(decay >= 0.0F, "--weight-decay " + fmt::format("{}", decay) + ": must not be negative");
    o.sgd.regularisation.l2 = decay;
    o.adam.regularisation.l2 = decay;
    o.adamw.regularisation.decoupled_l2 = decay;
    o.soap.decoupled_l2 = o.muon.decoupled_l2 = decay;
    o.foof.l2 = o.automatic.foof.l2 = decay;
    o.gd.l2 = o.preconditioned_gd.l2 = o.projected_gd.l2 = decay;
    o.hessian_free.l2 = o.newton_cg.l2 = o.newton.l2 = decay;
    o.damped_diagonal.decoupled_l2 = decay;
  }
  if (arguments.momentum) {
    require(o.name == "sgd", "--momentum is an option of sgd, the optimizer is " + o.name);
    o.sgd.momentum = *arguments.momentum;
  }
  if (arguments.preset) {
    require(o.name == "damped-diagonal",
            "--preset is an option of damped-diagonal, the optimizer is " + o.name);
    static_cast<void>(damped_diagonal_preset(*arguments.preset));  // throws for an unknown name
    o.damped_diagonal.preset = *arguments.preset;
  }
  if (arguments.lr) {
    require(*arguments.lr > 0.0, fmt::format("--lr {}: must be above 0", *arguments.lr));
    require(std::isfinite(static_cast<float>(*arguments.lr)),
            fmt::format("--lr {}: {}", *arguments.lr, kFiniteInSinglePrecision));
    require(needs_learning_rate(o.name),
            fmt::format("--lr {}: {} takes its step from curvature; leave --lr out", *arguments.lr,
                        o.name));
    options.schedule.learning_rate = *arguments.lr;
  }
  if (arguments.schedule) {
    options.schedule.kind = schedule_kind(*arguments.schedule);
  }
  set(options.schedule.warmup_steps, arguments.warmup);
  set(options.clip_norm, arguments.clip);
  require(options.clip_norm >= 0.0F && std::isfinite(options.clip_norm),
          fmt::format("--clip {}: {}", options.clip_norm, kFiniteNotNegative));
  require(options.clip_norm == 0.0F || takes_clipping(o.name),
          fmt::format("--clip {}: the steps of {} do not depend on the length of the gradient; "
                      "leave --clip out",
                      options.clip_norm, o.name));
}

/// Weights that make every class count the same in the loss: the inverse of its frequency, mean 1
/// over the data. A rare class is limited to 10 times the common weight: beyond that its few pixels
/// make the gradient noisy.
std::vector<float> balanced_weights(const Dataset& train) {
  constexpr double kLargest = 10.0;
  const std::vector<double> counts = count_labels(train);
  double total = 0.0;
  for (const double count : counts) {
    total += count;
  }
  std::vector<float> weights;
  for (const double count : counts) {
    const double even = total / static_cast<double>(counts.size());
    weights.push_back(static_cast<float>(count > 0.0 ? std::min(kLargest, even / count) : 1.0));
  }
  return weights;
}

void apply_loss(const TrainArguments& arguments, const Dataset& train, TrainerOptions& options) {
  set(options.loss.label_smoothing, arguments.label_smoothing);
  require(
      options.loss.label_smoothing >= 0.0F && options.loss.label_smoothing <= 1.0F,
      fmt::format("--label-smoothing {}: must be between 0 and 1", options.loss.label_smoothing));
  if (arguments.class_weights) {
    options.loss.class_weights.clear();
    if (*arguments.class_weights == "balanced") {
      options.loss.class_weights = balanced_weights(train);
    }
  }
}

void apply_length(const TrainArguments& arguments, TrainerOptions& options) {
  // A training that begins from there later has the usual length.
  if ((arguments.epochs || arguments.steps) && !wants_initial_state(arguments)) {
    options.max_steps = arguments.steps.value_or(0);
    if (arguments.epochs || options.max_steps > 0) options.epochs = arguments.epochs.value_or(0);
  }
  require(options.epochs > 0 || options.max_steps > 0,
          fmt::format("--epochs {} and --steps {}: one of them must be above 0", options.epochs,
                      options.max_steps));
  set(options.convergence.patience, arguments.patience);
  require(options.convergence.patience >= 0,
          fmt::format("--patience {}: must not be negative", options.convergence.patience));
  set(options.evaluate_every, arguments.eval_every);
  set(options.seed, arguments.seed);
}

/// Whether gd, which is meant for full batches, gets them: images of one size, whose pixels and
/// labels are not too large to be held in memory several times.
bool takes_full_batches(const Dataset& train) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;
  if (train.size() == 0) return false;
  const ImageSize size = train.image_size(0);
  for (std::size_t i = 1; i < train.size(); ++i) {
    if (train.image_size(i) != size) return false;
  }
  const std::uint64_t bytes = static_cast<std::uint64_t>(train.channels() + 1) * sizeof(float) *
                              static_cast<std::uint64_t>(size.height) *
                              static_cast<std::uint64_t>(size.width);
  return bytes * train.size() <= kMostBytes;
}

/// Gradients of as many images at once as other methods have pixels in a batch.
void use_full_batches(const Dataset& train, TrainerOptions& options) {
  constexpr int kPixelsAtOnce = 8 * 128 * 128;
  const ImageSize size = train.image_size(0);
  options.batch = static_cast<int>(train.size());
  options.images_at_once = std::clamp(kPixelsAtOnce / (size.height * size.width), 1, options.batch);
}

void apply_samples(const TrainArguments& arguments, const Dataset& train, TrainerOptions& options,
                   bool is_new) {
  const bool full_batches = is_new && options.optimizer.name == "gd" && !arguments.batch &&
                            !arguments.crop && takes_full_batches(train);
  if (full_batches) {
    use_full_batches(train, options);
  }
  set(options.batch, arguments.batch);
  require(options.batch > 0, fmt::format("--batch {}: must be above 0", options.batch));
  set(options.images_at_once, arguments.images_at_once);
  require(options.images_at_once >= 0,
          fmt::format("--images-at-once {}: must not be negative", options.images_at_once));
  if (arguments.crop || is_new) {
    set_crop(options.augment, arguments.crop.value_or(full_batches ? "none" : "auto"), train);
  }
  if (arguments.augment || is_new) {
    set_augmentation(options.augment, arguments.augment.value_or(full_batches ? "none" : "auto"),
                     train);
  }
  if (arguments.samples_per_epoch) {
    options.samples_per_epoch = *arguments.samples_per_epoch;
  } else if (is_new) {
    options.samples_per_epoch = crops_per_epoch(options.augment, train);
  }
}

TrainerOptions apply(const TrainArguments& arguments, const Dataset& train, TrainerOptions options,
                     bool is_new) {
  apply_optimizer(arguments, options);
  apply_loss(arguments, train, options);
  apply_length(arguments, options);
  apply_samples(arguments, train, options, is_new);
  return options;
}

/// An option whose value decides the bits of every later step.
void check_same(const char* option, const std::string& given, const std::string& saved,
                const std::filesystem::path& checkpoint) {
  require(given == saved,
          std::string(option) + " " + given + ": " + checkpoint.string() + " was trained with " +
              saved + "; leave the option out to continue, or start anew with --checkpoint");
}

}  // namespace

bool wants_initial_state(const TrainArguments& arguments) {
  return arguments.resume.empty() && arguments.epochs == std::uint64_t{0} &&
         arguments.steps.value_or(0) == 0;
}

DataSettings data_settings(const TrainArguments& arguments,
                           const std::optional<DataSettings>& recorded) {
  DataSettings settings = recorded.value_or(DataSettings{});
  set(settings.spec, arguments.data);
  require(!settings.spec.empty(),
          arguments.resume.empty()
              ? "--data is needed: a folder, or builtin:cells to try things out"
              : arguments.resume.string() +
                    ": there is no options.json beside it that names the data, --data is needed");
  set(settings.ignore_index, arguments.ignore_index);
  set(settings.classes, arguments.classes);
  set(settings.holdout, arguments.holdout);
  require(settings.holdout >= 0.0 && settings.holdout < 1.0,
          fmt::format("--holdout {}: must be at least 0 and below 1", settings.holdout));
  require(settings.ignore_index >= -1 && settings.ignore_index <= 255,
          fmt::format("--ignore-index {}: must be between 0 and 255, or -1 for none",
                      settings.ignore_index));
  if (recorded) {
    const auto same = [&](const char* option, auto given, auto saved) {
      check_same(option, fmt::format("{}", given), fmt::format("{}", saved), arguments.resume);
    };
    same("--ignore-index", settings.ignore_index, recorded->ignore_index);
    same("--classes", settings.classes, recorded->classes);
    same("--holdout", settings.holdout, recorded->holdout);
  }
  return settings;
}

TrainerOptions new_options(const TrainArguments& arguments, const Dataset& train) {
  TrainerOptions options;
  options.epochs = kDefaultEpochs;
  options.optimizer.name = kRecommendedOptimizer;
  return apply(arguments, train, options, true);
}

TrainerOptions resumed_options(const TrainArguments& arguments, const Dataset& train,
                               const TrainingState& state) {
  const TrainerOptions& saved = state.options;
  TrainerOptions options = apply(arguments, train, saved, false);
  const auto same = [&](const char* option, auto given, auto before) {
    check_same(option, fmt::format("{}", given), fmt::format("{}", before), arguments.resume);
  };
  same("--optimizer", options.optimizer.name, saved.optimizer.name);
  same("--preset", options.optimizer.damped_diagonal.preset,
       saved.optimizer.damped_diagonal.preset);
  // Without momentum there is none to go on with, nor is one dropped unasked.
  if ((options.optimizer.sgd.momentum == 0.0F) != (saved.optimizer.sgd.momentum == 0.0F)) {
    same("--momentum", options.optimizer.sgd.momentum, saved.optimizer.sgd.momentum);
  }
  same("--seed", options.seed, saved.seed);
  same("--batch", options.batch, saved.batch);
  same("--images-at-once", options.images_at_once, saved.images_at_once);
  same("--crop", crop_text(options.augment), crop_text(saved.augment));
  same("--augment", augmentation_text(options.augment), augmentation_text(saved.augment));
  same("--samples-per-epoch", options.samples_per_epoch, saved.samples_per_epoch);
  if (arguments.model) {
    const Model model =
        zoo::make(*arguments.model, state.in_channels, state.classes, state.image_h, state.image_w);
    same("--model", model.name(), state.model);
  }
  return options;
}

namespace {

/// A network that `newton` takes.
struct SmallModel {
  std::string name;
  std::int64_t parameters;
};

/// What a network is to be for.
struct ModelPurpose {
  bool classification;
  int channels, classes;
  int height, width;  // of the images, where it classifies
};

/// The largest of some of at most @p largest parameters; nothing when all have more.
std::optional<SmallModel> small_model(const ModelPurpose& of, std::int64_t largest) {
  using Names = std::array<const char*, 3>;
  constexpr Names kSegmenters = {"unet(width=8, depth=1)", "unet(width=4, depth=1)",
                                 "unet(width=2, depth=1)"};
  constexpr Names kClassifiers = {"classifier2(width=2, hidden=16)",
                                  "classifier2(width=2, hidden=8)",
                                  "classifier2(width=1, hidden=4)"};
  for (const char* name : of.classification ? kClassifiers : kSegmenters) {
    try {
      const std::int64_t parameters =
          count_parameters(zoo::make(name, of.channels, of.classes, of.height, of.width));
      if (parameters <= largest) {
        return SmallModel{name, parameters};
      }
    } catch (const InputError&) {  // too small for its poolings, as the usual one is, which says so
    }
  }
  return std::nullopt;
}

}  // namespace

std::string model_name(const TrainArguments& arguments, const Dataset& train) {
  if (arguments.model) {
    return *arguments.model;
  }
  if (arguments.optimizer == "newton" && train.size() > 0) {
    const ImageSize size = train.image_size(0);
    const ModelPurpose purpose{train.is_classification(), train.channels(), train.classes(),
                               size.height, size.width};
    const auto small = small_model(purpose, OptimizerOptions{}.newton.largest);
    if (small) {
      return small->name;
    }
  }
  if (train.is_classification()) {
    return train.channels() == 1 ? "classifier2" : "classifier3";
  }
  return "unet";
}

void check_newton_size(const OptimizerOptions& optimizer, const Model& model, bool suggest) {
  const std::int64_t count = count_parameters(model);
  if (optimizer.name != "newton" || count <= optimizer.newton.largest) {
    return;
  }
  std::optional<SmallModel> small;
  if (suggest) {
    const Shape image = model.fixed_input();
    small =
        small_model({model.is_classifier(), model.in_channels(), model.classes(), image.h, image.w},
                    optimizer.newton.largest);
  }
  const std::string others = small ? fmt::format("take --model \"{}\" of {} parameters, or ",
                                                 small->name, small->parameters)
                                   : "take ";
  throw InputError(fmt::format(
      "--optimizer newton: model {} has {} parameters, the Hessian is formed for at most {}; {}"
      "--optimizer newton-cg or hessian-free, which do not form it",
      model.name(), count, optimizer.newton.largest, others));
}

}  // namespace curvseg::cli
