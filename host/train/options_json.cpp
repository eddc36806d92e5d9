#include "host/train/options_json.hpp"

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace curvseg {
namespace {

using nlohmann::json;

// JSON has no number for these three: they are texts.
constexpr std::pair<const char*, double> kNotFinite[] = {
    {"inf", std::numeric_limits<double>::infinity()},
    {"-inf", -std::numeric_limits<double>::infinity()},
    {"nan", std::numeric_limits<double>::quiet_NaN()},
};

template <std::floating_point T>
json to_value(const T& value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

template <class T>
json to_value(const T& value) {
  return value;
}

/// \throws json::exception or InputError for another kind of value, or a number out of range.
template <class T>
T from_value(const json& value, const char* key) {
  if constexpr (std::floating_point<T>) {
    for (const auto& [text, number] : kNotFinite)
      if (value == text) return static_cast<T>(number);
  } else if constexpr (std::integral<T> && !std::same_as<T, bool>) {
    const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                                 : value.is_number_integer() &&
                                                       std::in_range<T>(value.get<std::int64_t>());
    if (!fits)
      throw InputError("damaged metadata: " + std::string(key) + " is " + value.dump() +
                       ", no whole number that it can be");
  }
  return value.get<T>();
}

const json& object_in(const json& value, const char* key) {
  if (!value.is_object())
    throw InputError("damaged metadata: " + std::string(key) + " is " + value.dump() +
                     ", not an object");
  return value;
}

/// Goes over the fields of a struct and writes them to a JSON object.
struct Writer {
  json& object;

  template <class T>
  void operator()(const char* key, const T& value) const {
    object[key] = to_value(value);
  }
  template <class T>
  void operator()(const char* key, const std::optional<T>& value) const {
    if (value) object[key] = to_value(*value);
  }
  void operator()(const char* key, const LossKind& value) const {
    object[key] = value == LossKind::kCrossEntropy ? "cross-entropy" : "mean-squared-error";
  }
  void operator()(const char* key, const ScheduleKind& value) const {
    object[key] = to_string(value);
  }
  void operator()(const char* key, const DiagonalEstimator& value) const {
    object[key] = value == DiagonalEstimator::kHutchinson ? "hutchinson" : "gauss-newton-bartlett";
  }
  template <class Visit>
  void nested(const char* key, const Visit& visit) const {
    json inside = json::object();
    visit(Writer{inside});
    object[key] = std::move(inside);
  }
};

/// Goes over the same fields and reads them; those that are not there stay as they are.
struct Reader {
  const json& object;

  template <class T>
  void operator()(const char* key, T& value) const {
    if (object.contains(key)) value = from_value<T>(object.at(key), key);
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) const {
    if (object.contains(key)) value = from_value<T>(object.at(key), key);
  }
  void operator()(const char* key, LossKind& value) const {
    if (!object.contains(key)) return;
    const auto text = object.at(key).get<std::string>();
    if (text != "cross-entropy" && text != "mean-squared-error")
      throw InputError("there is no loss \"" + text + "\"");
    value = text == "cross-entropy" ? LossKind::kCrossEntropy : LossKind::kMeanSquaredError;
  }
  void operator()(const char* key, ScheduleKind& value) const {
    if (object.contains(key)) value = schedule_kind(object.at(key).get<std::string>());
  }
  void operator()(const char* key, DiagonalEstimator& value) const {
    if (!object.contains(key)) return;
    const auto text = object.at(key).get<std::string>();
    if (text != "hutchinson" && text != "gauss-newton-bartlett")
      throw InputError("there is no estimator of a diagonal \"" + text + "\"");
    value = text == "hutchinson" ? DiagonalEstimator::kHutchinson
                                 : DiagonalEstimator::kGaussNewtonBartlett;
  }
  template <class Visit>
  void nested(const char* key, const Visit& visit) const {
    if (object.contains(key)) visit(Reader{object_in(object.at(key), key)});
  }
};

// Each struct has one list of its fields, used in both directions: T is const when writing.

template <class V, class T>
void visit_regularisation(const V& v, T& o) {
  v("l1", o.l1);
  v("l2", o.l2);
  v("decoupled_l2", o.decoupled_l2);
  v("proximal_l1", o.proximal_l1);
}

template <class V, class T>
void visit_sgd(const V& v, T& o) {
  v("momentum", o.momentum);
  v("nesterov", o.nesterov);
  v.nested("regularisation", [&](const auto& w) { visit_regularisation(w, o.regularisation); });
}

template <class V, class T>
void visit_adam(const V& v, T& o) {
  v("beta1", o.beta1);
  v("beta2", o.beta2);
  v("epsilon", o.epsilon);
  v.nested("regularisation", [&](const auto& w) { visit_regularisation(w, o.regularisation); });
}

template <class V, class T>
void visit_foof(const V& v, T& o) {
  v("damping", o.damping);
  v("factor_decay", o.factor_decay);
  v("positions", o.positions);
  v("factor_every", o.factor_every);
  v("inverse_every", o.inverse_every);
  v("momentum", o.momentum);
  v("batch_fraction", o.batch_fraction);
  v("model_damping", o.model_damping);
  v("previous_direction", o.previous_direction);
  v("smoothing", o.smoothing);
  v("curvature_smoothing", o.curvature_smoothing);
  v("model_every", o.model_every);
  v("radius", o.radius);
  v("l2", o.l2);
}

template <class V, class T>
void visit_soap(const V& v, T& o) {
  v("beta1", o.beta1);
  v("beta2", o.beta2);
  v("epsilon", o.epsilon);
  v("factor_decay", o.factor_decay);
  v("factor_every", o.factor_every);
  v("basis_every", o.basis_every);
  v("largest_basis", o.largest_basis);
  v("decoupled_l2", o.decoupled_l2);
}

template <class V, class T>
void visit_muon(const V& v, T& o) {
  v("momentum", o.momentum);
  v("beta1", o.beta1);
  v("beta2", o.beta2);
  v("epsilon", o.epsilon);
  v("decoupled_l2", o.decoupled_l2);
}

template <class V, class T>
void visit_auto(const V& v, T& o) {
  v("foof_steps", o.foof_steps);
  v("watched_steps", o.watched_steps);
  v("measured_steps", o.measured_steps);
  v("measure_every", o.measure_every);
  v.nested("foof", [&](const auto& w) { visit_foof(w, o.foof); });
  v.nested("soap", [&](const auto& w) { visit_soap(w, o.soap); });
}

template <class V, class T>
void visit_preconditioned_gd(const V& v, T& o) {
  v("damping", o.damping);
  v("decay", o.decay);
  v("l2", o.l2);
}

template <class V, class T>
void visit_projected_gd(const V& v, T& o) {
  v("lower", o.lower);
  v("upper", o.upper);
  v("radius", o.radius);
  v("l2", o.l2);
}

template <class V, class T>
void visit_damped_diagonal(const V& v, T& o) {
  v("preset", o.preset);
  v("estimator", o.estimator);
  v("beta1", o.beta1);
  v("beta2", o.beta2);
  v("gamma", o.gamma);
  v("epsilon", o.epsilon);
  v("clip", o.clip);
  v("clip_norm", o.clip_norm);
  v("refresh_every", o.refresh_every);
  v("mean_square", o.mean_square);
  v("unbiased", o.unbiased);
  v("spatial_mean", o.spatial_mean);
  v("decoupled_l2", o.decoupled_l2);
}

template <class V, class T>
void visit_hessian_free(const V& v, T& o) {
  v("damping", o.damping);
  v("damping_in_ratio", o.damping_in_ratio);
  v("warm_start", o.warm_start);
  v("precondition", o.precondition);
  v("batch_fraction", o.batch_fraction);
  v("max_iterations", o.max_iterations);
  v("model_tolerance", o.model_tolerance);
  v("armijo", o.armijo);
  v("line_shrink", o.line_shrink);
  v("line_steps", o.line_steps);
  v("l2", o.l2);
}

template <class V, class T>
void visit_newton_cg(const V& v, T& o) {
  v("radius", o.radius);
  v("largest_radius", o.largest_radius);
  v("acceptance", o.acceptance);
  v("max_iterations", o.max_iterations);
  v("model_tolerance", o.model_tolerance);
  v("residual_tolerance", o.residual_tolerance);
  v("l2", o.l2);
}

template <class V, class T>
void visit_newton(const V& v, T& o) {
  v("damping", o.damping);
  v("largest", o.largest);
  v("l2", o.l2);
}

template <class V, class T>
void visit_optimizer(const V& v, T& o) {
  v("name", o.name);
  v.nested("sgd", [&](const auto& w) { visit_sgd(w, o.sgd); });
  v.nested("adam", [&](const auto& w) { visit_adam(w, o.adam); });
  v.nested("adamw", [&](const auto& w) { visit_adam(w, o.adamw); });
  v.nested("foof", [&](const auto& w) { visit_foof(w, o.foof); });
  v.nested("soap", [&](const auto& w) { visit_soap(w, o.soap); });
  v.nested("muon", [&](const auto& w) { visit_muon(w, o.muon); });
  v.nested("auto", [&](const auto& w) { visit_auto(w, o.automatic); });
  v.nested("gd", [&](const auto& w) { w("l2", o.gd.l2); });
  v.nested("preconditioned-gd",
           [&](const auto& w) { visit_preconditioned_gd(w, o.preconditioned_gd); });
  v.nested("projected-gd", [&](const auto& w) { visit_projected_gd(w, o.projected_gd); });
  v.nested("damped-diagonal", [&](const auto& w) { visit_damped_diagonal(w, o.damped_diagonal); });
  v.nested("hessian-free", [&](const auto& w) { visit_hessian_free(w, o.hessian_free); });
  v.nested("newton-cg", [&](const auto& w) { visit_newton_cg(w, o.newton_cg); });
  v.nested("newton", [&](const auto& w) { visit_newton(w, o.newton); });
}

template <class V, class T>
void visit_schedule(const V& v, T& o) {
  v("kind", o.kind);
  v("learning_rate", o.learning_rate);
  v("warmup_steps", o.warmup_steps);
  v("total_steps", o.total_steps);
  v("final_factor", o.final_factor);
  v("power", o.power);
  v("step_every", o.step_every);
  v("step_factor", o.step_factor);
}

template <class V, class T>
void visit_augment(const V& v, T& o) {
  v("crop_height", o.crop_height);
  v("crop_width", o.crop_width);
  v("flip_horizontal", o.flip_horizontal);
  v("flip_vertical", o.flip_vertical);
  v("rotate", o.rotate);
  v("scale_min", o.scale_min);
  v("scale_max", o.scale_max);
}

template <class V, class T>
void visit_loss(const V& v, T& o) {
  v("kind", o.kind);
  v("class_weights", o.class_weights);
  v("label_smoothing", o.label_smoothing);
}

template <class V, class T>
void visit_convergence(const V& v, T& o) {
  v("patience", o.patience);
  v("min_improvement", o.min_improvement);
  v("plateau_epochs", o.plateau_epochs);
  v("min_decrease", o.min_decrease);
}

template <class V, class T>
void visit_normalisation(const V& v, T& o) {
  v("mean", o.mean);
  v("stddev", o.stddev);
}

void write_normalisation(const Writer& v, const TrainerOptions& o) {
  if (o.normalisation)
    v.nested("normalisation", [&](const auto& w) { visit_normalisation(w, *o.normalisation); });
}
void write_normalisation(const Reader& v, TrainerOptions& o) {
  v.nested("normalisation",
           [&](const auto& w) { visit_normalisation(w, o.normalisation.emplace()); });
}

template <class V, class T>
void visit_options(const V& v, T& o) {
  v("seed", o.seed);
  v("batch", o.batch);
  v("images_at_once", o.images_at_once);
  v("epochs", o.epochs);
  v("max_steps", o.max_steps);
  v("samples_per_epoch", o.samples_per_epoch);
  v.nested("augment", [&](const auto& w) { visit_augment(w, o.augment); });
  write_normalisation(v, o);
  v.nested("optimizer", [&](const auto& w) { visit_optimizer(w, o.optimizer); });
  v.nested("schedule", [&](const auto& w) { visit_schedule(w, o.schedule); });
  v.nested("loss", [&](const auto& w) { visit_loss(w, o.loss); });
  v("clip_norm", o.clip_norm);
  v.nested("convergence", [&](const auto& w) { visit_convergence(w, o.convergence); });
  v("divergence_factor", o.divergence_factor);
  v("log_every", o.log_every);
  v("evaluate_every", o.evaluate_every);
  v("evaluation_batch", o.evaluation_batch);
  v("loader_threads", o.loader_threads);
}

template <class V, class T>
void visit_progress(const V& v, T& o) {
  v("step", o.step);
  v("epoch", o.epoch);
  v("batch_in_epoch", o.batch_in_epoch);
  v("epoch_loss", o.epoch_loss);
  v("epoch_weight", o.epoch_weight);
  v("first_loss", o.first_loss);
  v("bad_losses", o.bad_losses);
  v("rejected_gradients", o.rejected_gradients);
  v("bad_gradients", o.bad_gradients);
  v("best_mean_iou", o.best_mean_iou);
  v("best_step", o.best_step);
  v("evaluations_since_best", o.evaluations_since_best);
  v("best_epoch_loss", o.best_epoch_loss);
  v("epochs_since_best_loss", o.epochs_since_best_loss);
}

/// Text that is no UTF-8 (a class name, say) loses the bytes in question and nothing else.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Runs `read` on the parsed text.
template <class Read>
void parse(const std::string& text, const Read& read) {
  try {
    read(json::parse(text));
  } catch (const json::exception& error) {
    throw InputError(std::string("damaged metadata: ") + error.what());
  }
}

template <class Visit>
std::string write(const Visit& visit) {
  json object = json::object();
  visit(Writer{object});
  return dump(object);
}

}  // namespace

std::string to_json(const TrainerOptions& options) {
  return write([&](const Writer& w) { visit_options(w, options); });
}

TrainerOptions trainer_options_from_json(const std::string& text) {
  TrainerOptions result;
  parse(text,
        [&](const json& value) { visit_options(Reader{object_in(value, "options")}, result); });
  return result;
}

std::string to_json(const TrainingProgress& progress) {
  return write([&](const Writer& w) { visit_progress(w, progress); });
}

TrainingProgress training_progress_from_json(const std::string& text) {
  TrainingProgress result;
  parse(text,
        [&](const json& value) { visit_progress(Reader{object_in(value, "progress")}, result); });
  return result;
}

std::string to_json(const Normalisation& normalisation) {
  return write([&](const Writer& w) { visit_normalisation(w, normalisation); });
}

Normalisation normalisation_from_json(const std::string& text) {
  Normalisation result;
  parse(text, [&](const json& value) {
    visit_normalisation(Reader{object_in(value, "normalisation")}, result);
  });
  return result;
}

std::string to_json(const std::vector<std::string>& texts) { return dump(json(texts)); }

std::vector<std::string> texts_from_json(const std::string& text) {
  std::vector<std::string> result;
  parse(text, [&](const json& value) { value.get_to(result); });
  return result;
}

}  // namespace curvseg
