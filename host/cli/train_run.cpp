// The parts of a training before its first step.
#include "host/cli/train_run.hpp"

#include <spdlog/fmt/fmt.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <system_error>
#include <utility>

#include "host/cli/class_report.hpp"
#include "host/cli/console.hpp"
#include "host/cli/crop_and_augment.hpp"
#include "host/io/atomic_file.hpp"

namespace curvseg::cli {
namespace {

namespace fs = std::filesystem;

/// Images of evaluation at once: as many as have the pixels of a training batch, so that whole
/// images need no more memory than training on crops does.
int evaluation_batch(const TrainerOptions& options, const Dataset& dataset) {
  const Augment& augment = options.augment;
  const int at_once = options.images_at_once;
  const int batch = at_once > 0 ? std::min(at_once, options.batch) : options.batch;
  if (augment.crop_height == 0 || dataset.is_classification()) {
    return batch;
  }
  const ImageSize image = dataset.image_size(0);
  const double crop = static_cast<double>(augment.crop_height) * augment.crop_width;
  const double whole = static_cast<double>(image.height) * image.width;
  return std::max(1, static_cast<int>(batch * crop / whole));
}

/// What training and the evaluations after it will show to the network.
void check_all_sizes(const Model& model, const TrainingData& data, const Augment& augment) {
  check_sizes(model, *data.train, {augment.crop_height, augment.crop_width});
  if (data.val) {
    check_sizes(model, *data.val);
  } else {  // the pictures are of whole images of the training set
    check_sizes(model, *data.train);
  }
  if (data.test) {
    check_sizes(model, *data.test);
  }
}

/// Going on with other data would give neither the bits of the old training nor a new one.
void check_same_data(const Dataset& train, const DataFingerprint& trained_on,
                     const fs::path& checkpoint) {
  const DataFingerprint now = fingerprint(train);
  if (now == trained_on) {
    return;
  }
  const std::string what =
      now.samples == trained_on.samples
          ? fmt::format("{} training images, but names, order or sizes changed (fingerprint {})",
                        now.samples, now.hash)
          : fmt::format("{} training images", now.samples);
  throw InputError(fmt::format(
      "{} has {}, {} was trained on {}{}; bring those back, or start anew with --checkpoint",
      train.name(), what, checkpoint.string(), trained_on.samples,
      now.samples == trained_on.samples ? fmt::format(" (fingerprint {})", trained_on.hash) : ""));
}

/// "adam at 0.002", or "auto with steps from curvature".
std::string method_text(const OptimizerOptions& optimizer, const ScheduleOptions& schedule) {
  if (!needs_learning_rate(optimizer.name)) {
    return optimizer.name + " with steps from curvature";
  }
  const double rate =
      schedule.learning_rate > 0.0 ? schedule.learning_rate : default_learning_rate(optimizer);
  return fmt::format("{} at {:g}", optimizer.name, rate);
}

/// fs::equivalent() throws where a file is missing.
bool is_same_folder(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error);
}

/// \throws InputError that names the data where the network does not fit its images.
Model new_model(const std::string& name, const Dataset& train, ImageSize size) {
  try {
    return zoo::make(name, train.channels(), train.classes(), size.height, size.width);
  } catch (const InputError& error) {
    throw InputError(train.name() + ", --model " + name + ": " + error.what());
  }
}

}  // namespace

TrainRun::TrainRun(const TrainArguments& arguments) : arguments_(arguments) {
  if (!arguments_.resume.empty() && !arguments_.checkpoint.empty()) {
    throw InputError("--resume " + arguments_.resume.string() + " and --checkpoint " +
                     arguments_.checkpoint.string() +
                     ": one continues a training, the other begins anew; give one of them");
  }
  const fs::path& from = arguments_.resume.empty() ? arguments_.checkpoint : arguments_.resume;
  if (!from.empty()) {
    start_ = load_checkpoint(from);
  }
  settings_ = data_settings(
      arguments_, arguments_.resume.empty() ? std::nullopt : read_data_settings(arguments_.resume));
  choose_folder();
  open_data();
  make_trainer();
}

void TrainRun::choose_folder() {
  paths_.folder = arguments_.out;
  if (paths_.folder.empty()) {
    paths_.folder = arguments_.resume.empty()             ? new_run_folder(settings_.spec)
                    : arguments_.resume.has_parent_path() ? arguments_.resume.parent_path()
                                                          : fs::path(".");
  }
  check_writable_folder(paths_.folder);
  take_folder();
}

void TrainRun::take_folder() {
  lock_.take(paths_.folder);
  std::error_code error;
  // A training that ended before its first checkpoint left nothing to lose or to continue.
  const fs::path last =
      fs::exists(paths_.checkpoint(), error) ? paths_.checkpoint() : paths_.best();
  if (!continues_here() && !arguments_.overwrite && fs::exists(last, error)) {
    throw InputError(paths_.folder.string() +
                     ": holds a training already; continue it with --resume " + last.string() +
                     ", replace it with --overwrite, or give another --out");
  }
}

bool TrainRun::continues_here() const {
  return !arguments_.resume.empty() &&
         is_same_folder(paths_.folder, fs::absolute(arguments_.resume).parent_path());
}

void TrainRun::open_data() {
  data_ = open_training_data(settings_, !arguments_.no_check);
  if (!start_) {
    return;
  }
  const fs::path& file = arguments_.resume.empty() ? arguments_.checkpoint : arguments_.resume;
  const Dataset& train = *data_.train;
  if (train.channels() != start_->in_channels || train.classes() != start_->classes) {
    throw InputError(fmt::format("{} has {} channels and {} classes, {} was trained for {} and {}",
                                 train.name(), train.channels(), train.classes(), file.string(),
                                 start_->in_channels, start_->classes));
  }
  if (!arguments_.resume.empty() && start_->train_data) {
    check_same_data(train, *start_->train_data, arguments_.resume);
  }
}

void TrainRun::make_trainer() {
  const Dataset& train = *data_.train;
  const bool resumes = !arguments_.resume.empty();
  const Device device = Device::open(arguments_.device);
  const ImageSize size = train.size() > 0 ? train.image_size(0) : ImageSize{};
  TrainerOptions options =
      resumes ? resumed_options(arguments_, train, *start_) : new_options(arguments_, train);
  Model model =
      start_ ? make_model(*start_) : new_model(model_name(arguments_, train), train, size);
  if (start_ && arguments_.model) {
    const Model wanted =
        zoo::make(*arguments_.model, train.channels(), train.classes(), size.height, size.width);
    if (wanted.name() != model.name()) {
      throw InputError("--model " + wanted.name() + ": " +
                       (resumes ? arguments_.resume : arguments_.checkpoint).string() + " holds " +
                       model.name());
    }
  }
  check_kind(model, train);
  check_newton_size(options.optimizer, model, /*suggest=*/!start_);
  // A step on the host takes long enough to be reported each time, which also lets Ctrl-C act
  // at once; on a GPU that would make it wait for the host after every step.
  options.log_every = device.is_host() ? 1 : 10;
  options.evaluation_batch = evaluation_batch(options, train);
  if (start_ && !resumes) {
    options.normalisation = start_->normalisation;
  }
  check_all_sizes(model, data_, options.augment);
  trainer_.emplace(Stream(device), std::move(model), std::move(options));
  if (resumes) {
    trainer_->restore(*start_, arguments_.resume.string());
  } else if (start_) {
    trainer_->load_parameters(*start_, arguments_.checkpoint.string());
  }
  progress_.emplace(trainer_->options(), trainer_->steps_done(), train.is_classification());
}

void TrainRun::begin() {
  files_.make_folder(paths_);
  take_folder();  // again: when it was chosen there may have been none
  remove_unfinished_files(paths_.folder);
  const Json start = start_line();
  Json options = start;
  options.erase("event");
  options.erase("step");
  files_.begin(to_text(options, 2) + "\n");
  std::string lines;
  if (!arguments_.resume.empty()) {
    const RunPaths before{fs::absolute(arguments_.resume).parent_path()};
    lines = metrics_until(before.metrics(), trainer_->steps_done());
    saved_ = arguments_.resume;
    saved_step_ = trainer_->steps_done();
  }
  metrics_.emplace(files_.metrics(), arguments_.json, lines);
  metrics_->write(start);
  say_beginning();
}

void TrainRun::say_beginning() const {
  const TrainerOptions& options = trainer_->options();
  const DeviceInfo device = trainer_->stream().device().info();
  const auto count = [](const std::shared_ptr<const Dataset>& set) {
    return set ? std::to_string(set->size()) : std::string("no");
  };
  say("data    {}: {} images to train on, {} to validate{}, {} to test; {} classes{}",
      settings_.spec, count(data_.train), count(data_.val), data_.held_out ? " (held out)" : "",
      count(data_.test), data_.train->classes(), class_source_text(data_));
  say_classes(data_, settings_.ignore_index);
  say("model   {}, {} parameters", trainer_->model().name(), count_parameters(trainer_->model()));
  say("device  {}: {}, {}, {} processors", device.device, device.name, device.instruction_set,
      device.processors);
  say("method  {}, {}; batches of {}, crop {}, augmentation {}; seed {}",
      method_text(options.optimizer, options.schedule), to_string(options.schedule.kind),
      options.batch, crop_text(options.augment), augmentation_text(options.augment), options.seed);
  if (!arguments_.resume.empty()) {
    say("resume  {} after step {}", arguments_.resume.string(), trainer_->steps_done());
  }
  say("out     {}", paths_.folder.string());
}

Json TrainRun::start_line() const {
  const TrainerOptions& o = trainer_->options();
  const DeviceInfo device = trainer_->stream().device().info();
  return {{"event", arguments_.resume.empty() ? "start" : "resume"},
          {"curvseg", CURVSEG_VERSION},
          {"step", trainer_->steps_done()},
          {"data", to_json(settings_)},
          {"class_names", data_.train->class_names()},
          {"train_images", data_.train->size()},
          {"train_fingerprint", fingerprint(*data_.train).hash},
          {"class_pixels", data_.labels.of_class},
          {"model", trainer_->model().name()},
          {"parameters", count_parameters(trainer_->model())},
          {"device", device.device},
          {"instruction_set", device.instruction_set},
          {"optimizer", o.optimizer.name},
          {"learning_rate", o.schedule.learning_rate > 0.0 ? o.schedule.learning_rate
                                                           : default_learning_rate(o.optimizer)},
          {"schedule", to_string(o.schedule.kind)},
          {"warmup", o.schedule.warmup_steps},
          {"epochs", o.epochs},
          {"steps", o.max_steps},
          {"batch", o.batch},
          {"images_at_once", o.images_at_once},
          {"crop", crop_text(o.augment)},
          {"augment", augmentation_text(o.augment)},
          {"samples_per_epoch", o.samples_per_epoch},
          {"clip", o.clip_norm},
          {"label_smoothing", o.loss.label_smoothing},
          {"class_weights", o.loss.class_weights},
          {"seed", o.seed}};
}

}  // namespace curvseg::cli
