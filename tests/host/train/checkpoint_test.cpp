#include "curvseg/checkpoint.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host/io/safetensors.hpp"
#include "tests/host/data/fixtures.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::expect_mentions;
using test::input_error;
using test::TempDir;
using test::WavesDataset;

/// Options that differ from the defaults in every field.
TrainerOptions unusual_options() {
  TrainerOptions o;
  o.seed = std::numeric_limits<std::uint64_t>::max();
  o.batch = 3;
  o.images_at_once = 2;
  o.epochs = 0;
  o.max_steps = 4;
  o.samples_per_epoch = 5;
  o.augment = {6, 7, true, true, false, 0.75f, 1.3f};
  o.normalisation = Normalisation{{0.1f}, {1.0f / 3.0f}};
  o.optimizer.name = "sgd";
  o.optimizer.sgd = {0.7f, true, {1e-7f, 2e-7f, 3e-7f, 4e-7f}};
  o.optimizer.adam = {0.8f, 0.99f, 1e-6f, {}};
  o.optimizer.soap.largest_basis = 17;
  o.optimizer.damped_diagonal.clip_norm = 3.5f;
  o.schedule = {ScheduleKind::kPolynomial, 0.1 / 3.0, 2, 11, 0.01, 1.5, 3, 0.25};
  o.loss = {LossKind::kCrossEntropy, {0.3f, 1.7f}, 0.05f};
  o.clip_norm = 5.5f;
  o.convergence = {6, 0.02, 7, 0.03};
  o.divergence_factor = 77.0;
  o.log_every = 2;
  o.evaluate_every = 3;
  o.evaluation_batch = 2;
  o.loader_threads = 0;
  return o;
}

TrainingState trained_state(const TrainerOptions& options = unusual_options()) {
  const WavesDataset data;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  trainer.fit(data, &data);
  return trainer.state();
}

std::string saved(const TempDir& folder, const TrainingState& state) {
  const auto path = folder / "state.safetensors";
  save_checkpoint(path, state);
  return path.string();
}

TEST(Checkpoint, BringsBackWhatWasSaved) {
  const TempDir folder;
  const TrainingState before = trained_state();
  const TrainingState after = load_checkpoint(saved(folder, before));
  EXPECT_EQ(after.model, "tiny");
  EXPECT_EQ(after.in_channels, 1);
  EXPECT_EQ(after.classes, 2);
  EXPECT_EQ(after.optimizer, "sgd");
  EXPECT_EQ(after.class_names, before.class_names);
  EXPECT_EQ(after.progress, before.progress);
  EXPECT_EQ(before.train_data, fingerprint(WavesDataset()));
  EXPECT_EQ(after.train_data, before.train_data);
  EXPECT_EQ(after.normalisation->mean, before.normalisation->mean);
  EXPECT_EQ(after.normalisation->stddev, before.normalisation->stddev);
  EXPECT_TRUE(test::same_bits(after.parameters, before.parameters));
  EXPECT_TRUE(test::same_bits(after.optimizer_tensors, before.optimizer_tensors));
}

TEST(Checkpoint, BringsBackEveryOption) {
  const TempDir folder;
  const TrainerOptions a = unusual_options();
  const TrainerOptions b = load_checkpoint(saved(folder, trained_state())).options;
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.batch, b.batch);
  EXPECT_EQ(a.images_at_once, b.images_at_once);
  EXPECT_EQ(a.epochs, b.epochs);
  EXPECT_EQ(a.max_steps, b.max_steps);
  EXPECT_EQ(a.samples_per_epoch, b.samples_per_epoch);
  EXPECT_EQ(a.augment.crop_height, b.augment.crop_height);
  EXPECT_EQ(a.augment.crop_width, b.augment.crop_width);
  EXPECT_EQ(a.augment.flip_horizontal, b.augment.flip_horizontal);
  EXPECT_EQ(a.augment.flip_vertical, b.augment.flip_vertical);
  EXPECT_EQ(a.augment.rotate, b.augment.rotate);
  EXPECT_EQ(a.augment.scale_min, b.augment.scale_min);
  EXPECT_EQ(a.augment.scale_max, b.augment.scale_max);
  EXPECT_EQ(a.normalisation->stddev, b.normalisation->stddev);
  EXPECT_EQ(a.optimizer.name, b.optimizer.name);
  EXPECT_EQ(a.optimizer.sgd.momentum, b.optimizer.sgd.momentum);
  EXPECT_EQ(a.optimizer.sgd.nesterov, b.optimizer.sgd.nesterov);
  EXPECT_EQ(a.optimizer.sgd.regularisation.proximal_l1, b.optimizer.sgd.regularisation.proximal_l1);
  EXPECT_EQ(a.optimizer.adam.epsilon, b.optimizer.adam.epsilon);
  EXPECT_EQ(a.optimizer.soap.largest_basis, b.optimizer.soap.largest_basis);
  EXPECT_EQ(a.optimizer.damped_diagonal.clip_norm, b.optimizer.damped_diagonal.clip_norm);
  EXPECT_EQ(a.optimizer.adamw.regularisation.decoupled_l2,
            b.optimizer.adamw.regularisation.decoupled_l2);
  EXPECT_EQ(a.schedule.kind, b.schedule.kind);
  EXPECT_EQ(a.schedule.learning_rate, b.schedule.learning_rate);
  EXPECT_EQ(a.schedule.step_factor, b.schedule.step_factor);
  EXPECT_EQ(a.loss.class_weights, b.loss.class_weights);
  EXPECT_EQ(a.loss.label_smoothing, b.loss.label_smoothing);
  EXPECT_EQ(a.clip_norm, b.clip_norm);
  EXPECT_EQ(a.convergence.min_decrease, b.convergence.min_decrease);
  EXPECT_EQ(a.divergence_factor, b.divergence_factor);
  EXPECT_EQ(a.evaluation_batch, b.evaluation_batch);
  EXPECT_EQ(a.loader_threads, b.loader_threads);
}

TEST(Checkpoint, BringsBackNumbersThatAreNotFinite) {
  const TempDir folder;
  TrainerOptions options = unusual_options();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  options.divergence_factor = kInfinity;
  options.convergence.min_improvement = kInfinity;
  options.optimizer.projected_gd.upper = kInfinity;
  options.optimizer.projected_gd.lower = -kInfinity;
  options.optimizer.adam.epsilon = std::numeric_limits<float>::quiet_NaN();  // not the one in use
  const TrainerOptions read = load_checkpoint(saved(folder, trained_state(options))).options;
  EXPECT_EQ(read.divergence_factor, kInfinity);
  EXPECT_EQ(read.convergence.min_improvement, kInfinity);
  EXPECT_EQ(read.optimizer.projected_gd.upper, kInfinity);
  EXPECT_EQ(read.optimizer.projected_gd.lower, -kInfinity);
  EXPECT_TRUE(std::isnan(read.optimizer.adam.epsilon));
}

TEST(Checkpoint, HoldsParametersUnderTheirNamesWithoutPadding) {
  const TempDir folder;
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const SafetensorsTensor& tensor : read_safetensors(saved(folder, trained_state())).tensors) {
    EXPECT_EQ(tensor.dtype, "F32");
    shapes[tensor.name] = tensor.shape;
  }
  const std::map<std::string, std::vector<std::int64_t>> expected = {
      {"hidden.weight", {3, 3, 1, 5}},
      {"hidden.bias", {5}},
      {"scores.weight", {1, 1, 5, 2}},
      {"scores.bias", {2}},
      {"optimizer.momentum.hidden.weight", {3, 3, 1, 5}},
      {"optimizer.momentum.hidden.bias", {5}},
      {"optimizer.momentum.scores.weight", {1, 1, 5, 2}},
      {"optimizer.momentum.scores.bias", {2}}};
  EXPECT_EQ(shapes, expected);
}

TEST(Checkpoint, ANewFileReplacesTheOldOneWholeOrNotAtAll) {
  const TempDir folder;
  const TrainingState state = trained_state();
  const std::string path = saved(folder, state);
  TrainingState broken = state;
  broken.parameters[0].values.pop_back();
  EXPECT_THROW(save_checkpoint(path, broken), std::invalid_argument);
  EXPECT_TRUE(test::same_bits(load_checkpoint(path).parameters, state.parameters));
  expect_mentions(input_error([&] { save_checkpoint(folder / "missing/x.safetensors", state); }),
                  "missing/x.safetensors");
}

TEST(Checkpoint, ParametersAloneServeForPrediction) {
  const WavesDataset data;
  const TrainingState state = trained_state();
  Trainer trainer(test::test_stream(), test::tiny_model(), {.optimizer = {.name = "adam"}});
  const EvaluationResult before = trainer.evaluate(data);
  trainer.load_parameters(state);
  EXPECT_NE(trainer.evaluate(data).loss, before.loss);
  EXPECT_EQ(trainer.normalisation().mean, state.normalisation->mean);
  EXPECT_EQ(trainer.class_names(), state.class_names);
  EXPECT_EQ(trainer.steps_done(), 0U);
}

TEST(Checkpoint, MakesItsModelAgain) {
  TrainerOptions options;
  Trainer trainer(test::test_stream(), zoo::make("unet(width=3, depth=1)", 2, 5), options);
  const TrainingState state = trainer.state();
  const Model again = make_model(state);
  EXPECT_EQ(again.name(), trainer.model().name());
  EXPECT_EQ(again.parameter_count(), trainer.model().parameter_count());
  TrainingState unknown = state;
  unknown.model = "resnet";
  EXPECT_THROW(make_model(unknown), InputError);
}

// ---- disagreements -----------------------------------------------------------------------------

std::string restore_error(const Model& model, const TrainingState& state,
                          const TrainerOptions& options = unusual_options()) {
  Trainer trainer(test::test_stream(), model, options);
  const std::vector<NamedTensor> before = trainer.state().parameters;
  const std::string message = input_error([&] { trainer.restore(state, "run.safetensors"); });
  EXPECT_TRUE(test::same_bits(trainer.state().parameters, before)) << "half restored";
  expect_mentions(message, "run.safetensors");
  return message;
}

Model renamed_tiny(const char* name) {
  ModelBuilder builder(name, 1);
  return builder.build(builder.conv(builder.input(), {.name = "scores", .k = 2}));
}

TEST(Checkpoint, OfAnotherModelIsRefused) {
  const TrainingState state = trained_state();
  expect_mentions(restore_error(renamed_tiny("small"), state), "model tiny", "small");
  TrainerOptions colour = unusual_options();
  colour.normalisation = {};
  expect_mentions(restore_error(test::tiny_model(3), state, colour), "input channels 1", "3");
  TrainerOptions three = unusual_options();
  three.loss = {};
  expect_mentions(restore_error(test::tiny_model(1, 3), state, three), "classes 2", "3");
  expect_mentions(restore_error(test::tiny_model(1, 2, 6), state), "hidden.weight [3,3,1,5]",
                  "[3,3,1,6]");
  expect_mentions(restore_error(renamed_tiny("tiny"), state), "scores.weight [1,1,5,2]",
                  "[3,3,1,2]");
}

TEST(Checkpoint, OfAnotherOptimizerIsRefused) {
  const TrainingState state = trained_state();
  TrainerOptions options = unusual_options();
  options.optimizer.name = "adam";
  expect_mentions(restore_error(test::tiny_model(), state, options), "optimiser sgd", "adam");
  TrainingState no_momentum = state;
  no_momentum.optimizer_tensors.clear();
  expect_mentions(restore_error(test::tiny_model(), no_momentum),
                  "no tensor momentum.hidden.weight", "[3,3,1,5]");
  TrainingState extra = state;
  extra.optimizer_tensors.push_back({"variance", {1}, {1.0f}});
  expect_mentions(restore_error(test::tiny_model(), extra), "variance");
  TrainingState extra_parameter = state;
  extra_parameter.parameters.push_back({"more.bias", {1}, {1.0f}});
  expect_mentions(restore_error(test::tiny_model(), extra_parameter), "more.bias");
}

TEST(Checkpoint, NormalisationsThatDoNotFitTheModelAreRefused) {
  const TrainingState good = trained_state();
  for (const Normalisation& wrong :
       {Normalisation{{0.1f}, {0.0f}}, Normalisation{{0.1f, 0.2f}, {}},
        Normalisation{{}, {1.0f, 1.0f, 1.0f}},
        Normalisation{{std::numeric_limits<float>::quiet_NaN()}, {}}}) {
    TrainingState state = good;
    state.normalisation = wrong;
    expect_mentions(restore_error(test::tiny_model(), state), "normalisation");
    Trainer trainer(test::test_stream(), test::tiny_model(), unusual_options());
    expect_mentions(input_error([&] { trainer.load_parameters(state, "run.safetensors"); }),
                    "run.safetensors", "normalisation");
    TrainerOptions options = unusual_options();
    options.normalisation = wrong;
    expect_mentions(input_error([&] { Trainer(test::test_stream(), test::tiny_model(), options); }),
                    "trainer", "normalisation");
  }
}

TEST(Checkpoint, FromTheMiddleOfAnEpochOfOtherBatchesIsRefused) {
  TrainingState state = trained_state();
  TrainerOptions options = unusual_options();
  options.batch = 4;
  state.progress.batch_in_epoch = 1;
  expect_mentions(restore_error(test::tiny_model(), state, options), "batches of 3",
                  "batches of 4");
  state.progress.batch_in_epoch = 0;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  EXPECT_NO_THROW(trainer.restore(state)) << "between epochs it does not matter";
}

TEST(Checkpoint, FromTheMiddleOfAnEpochOverOtherDataIsRefused) {
  const WavesDataset data;
  const WavesDataset other({.count = 8});
  TrainerOptions options = unusual_options();
  options.max_steps = 1;  // of 2 in an epoch
  Trainer stopped(test::test_stream(), test::tiny_model(), options);
  stopped.fit(data);
  TrainingState state = stopped.state();
  ASSERT_EQ(state.progress.batch_in_epoch, 1u);
  options.max_steps = 4;
  const auto go_on = [&](const Dataset& with) {
    Trainer trainer(test::test_stream(), test::tiny_model(), options);
    trainer.restore(state);
    trainer.fit(with);
  };
  expect_mentions(input_error([&] { go_on(other); }), "waves", "8 samples", "7 samples",
                  state.train_data->hash);
  EXPECT_NO_THROW(go_on(data));
  state.train_data.reset();  // as an older version wrote it
  EXPECT_NO_THROW(go_on(other));
}

TEST(Checkpoint, WithoutAFingerprintIsThatOfAnOlderVersion) {
  const TempDir folder;
  TrainingState state = trained_state();
  state.train_data.reset();
  EXPECT_EQ(load_checkpoint(saved(folder, state)).train_data, std::nullopt);
}

// ---- damage ------------------------------------------------------------------------------------

std::string load_error(const SafetensorsFile& file) {
  const TempDir folder;
  const auto path = folder / "bad.safetensors";
  write_safetensors(path, file);
  const std::string message = input_error([&] { load_checkpoint(path); });
  expect_mentions(message, "bad.safetensors");
  return message;
}

SafetensorsFile good_file() {
  const TempDir folder;
  return read_safetensors(saved(folder, trained_state()));
}

TEST(Checkpoint, FilesThatAreNoneAreRefused) {
  expect_mentions(load_error({}), "no checkpoint of curvseg", "missing");
  SafetensorsFile file = good_file();
  file.metadata["format"] = "pt";
  expect_mentions(load_error(file), "no checkpoint of curvseg", "\"pt\"");
  file = good_file();
  file.metadata["version"] = "2";
  expect_mentions(load_error(file), "version 2", "up to 1");
  file = good_file();
  file.tensors[0].dtype = "I32";
  expect_mentions(load_error(file), file.tensors[0].name, "I32", "F32");
}

TEST(Checkpoint, DamagedMetadataIsRefused) {
  for (const char* key : {"model", "classes", "optimizer", "options", "progress", "class_names"}) {
    SafetensorsFile file = good_file();
    file.metadata.erase(key);
    expect_mentions(load_error(file), "its metadata has no", key);
  }
  const std::vector<std::pair<std::string, std::string>> damage = {
      {"classes", "two"},
      {"classes", "0"},
      {"classes", "2147483647"},
      {"in_channels", "2147483647"},
      {"image_h", "-1"},
      {"options", "{\"batch\":"},
      {"options", "[1,2]"},
      {"options", "{\"optimizer\":5}"},
      {"options", "{\"batch\":1e99}"},
      {"options", "{\"batch\":4294967297}"},
      {"options", "{\"clip_norm\":null}"},
      {"options", "{\"clip_norm\":\"infinite\"}"},
      {"progress", "{\"step\":\"many\"}"},
      {"progress", "{\"step\":-1}"},
      {"progress", "{\"step\":1.5}"},
      {"progress", "7"},
      {"class_names", "{}"},
      {"train_samples", "-7"},
      {"normalisation", "{\"mean\":\"grey\"}"}};
  for (const auto& [key, text] : damage) {
    SafetensorsFile file = good_file();
    SCOPED_TRACE(text);
    file.metadata[key] = text;
    expect_mentions(load_error(file), "damaged metadata");
  }
}

TEST(Checkpoint, EveryTruncationIsRefused) {
  const TempDir folder;
  const auto whole = test::read_bytes(saved(folder, trained_state()));
  const auto path = folder / "cut.safetensors";
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{100},
                                 whole.size() / 2, whole.size() - 1}) {
    test::write_bytes(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    expect_mentions(input_error([&] { load_checkpoint(path); }), "cut.safetensors");
  }
  expect_mentions(input_error([&] { load_checkpoint(folder / "none.safetensors"); }),
                  "none.safetensors");
}

}  // namespace
}  // namespace curvseg
