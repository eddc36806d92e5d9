#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "host/nn/message_of.hpp"
#include "support/devices.hpp"
#include "tests/host/train/fixtures.hpp"

namespace curvseg {
namespace {

using test::WavesDataset;

TrainerOptions quick(std::uint64_t epochs = 3) {
  return {.batch = 3,
          .epochs = epochs,
          .optimizer = {.name = "adam"},
          .schedule = {.learning_rate = 0.02},
          .log_every = 1};
}

TEST(Trainer, LearnsAndPredictsWhatItLearned) {
  const WavesDataset train({.count = 12}), validation({.count = 5});
  for (const char* optimizer : {"sgd", "adam", "adamw"}) {
    TrainerOptions options = quick(25);
    options.optimizer.name = optimizer;
    options.schedule = {.kind = ScheduleKind::kCosine, .warmup_steps = 5};
    if (options.optimizer.name != "sgd") options.schedule.learning_rate = 0.05;
    Trainer trainer(test::test_stream(), test::tiny_model(), options);
    const EvaluationResult before = trainer.evaluate(validation);
    const FitResult result = trainer.fit(train, &validation);
    const EvaluationResult after = trainer.evaluate(validation);
    EXPECT_EQ(result.reason, StopReason::kFinished);
    EXPECT_EQ(result.steps, 25U * 4U);
    EXPECT_EQ(result.epochs, 25U);
    EXPECT_LT(after.loss, 0.5 * before.loss) << optimizer;
    EXPECT_GT(after.confusion.mean_iou(), 0.8) << optimizer;
    EXPECT_GE(result.best_mean_iou.value(), after.confusion.mean_iou());
  }
}

TEST(Trainer, EvaluationCountsWhatPredictionSays) {
  const WavesDataset data({.count = 5, .mixed_sizes = true, .ignore = true});
  TrainerOptions options = quick();
  options.normalisation = Normalisation{};
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  ConfusionCounts expected(2);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const Batch batch = test::batch_of(data, i, 1);
    const Prediction prediction = trainer.predict(batch, {.logits = true, .probabilities = true});
    ASSERT_EQ(prediction.labels.size(), batch.labels.size());
    EXPECT_EQ(prediction.shape, (Shape{1, batch.h, batch.w, 2}));
    for (std::size_t p = 0; p < batch.labels.size(); ++p) {
      const float* x = &prediction.logits[2 * p];
      const float* q = &prediction.probabilities[2 * p];
      EXPECT_EQ(prediction.labels[p], x[1] > x[0] ? 1 : 0);
      EXPECT_NEAR(q[0] + q[1], 1.0f, 1e-6f);
      EXPECT_NEAR(q[1], 1.0f / (1.0f + std::exp(x[0] - x[1])), 1e-6f);
      expected.add(batch.labels[p], prediction.labels[p]);
    }
  }
  EXPECT_EQ(trainer.evaluate(data).confusion, expected);
}

TEST(Trainer, PredictsLabelsOnlyUnlessAsked) {
  const WavesDataset data;
  Trainer trainer(test::test_stream(), test::tiny_model(), quick());
  const Prediction prediction = trainer.predict(test::batch_of(data, 0, 2));
  EXPECT_EQ(prediction.labels.size(), 240U);
  EXPECT_TRUE(prediction.logits.empty());
  EXPECT_TRUE(prediction.probabilities.empty());
}

TEST(Trainer, CallbacksComeInOrderOnTheSameThread) {
  const WavesDataset train({.count = 7}), validation({.count = 2});
  Trainer trainer(test::test_stream(), test::tiny_model(), quick(2));
  const std::thread::id here = std::this_thread::get_id();
  std::string order;
  TrainingEvents events;
  events.on_step = [&](const StepReport& report) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(report.step, trainer.steps_done());
    EXPECT_EQ(report.epoch, (report.step - 1) / 3);
    EXPECT_EQ(report.steps_planned, 6U);
    EXPECT_EQ(report.steps_per_epoch, 3U);
    EXPECT_TRUE(std::isfinite(report.loss));
    EXPECT_DOUBLE_EQ(report.learning_rate, 0.02);
    EXPECT_GT(report.images_per_second, 0.0);
    order += std::to_string(report.step);
    return true;
  };
  events.on_evaluation = [&](const EvaluationReport& report) {
    EXPECT_EQ(report.result.images, 2U);
    order += "v";
    return true;
  };
  events.on_epoch = [&](const EpochReport& report) {
    EXPECT_TRUE(report.validation.has_value());
    EXPECT_GT(report.loss, 0.0);
    order += "e";
    return true;
  };
  trainer.fit(train, &validation, events);
  EXPECT_EQ(order, "123ve456ve");
}

TEST(Trainer, LogsAndEvaluatesAtTheCadenceAskedFor) {
  const WavesDataset train({.count = 7}), validation({.count = 2});
  TrainerOptions options = quick(5);
  options.log_every = 4;
  options.evaluate_every = 2;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  std::vector<std::uint64_t> steps, evaluations;
  trainer.fit(train, &validation,
              {.on_step =
                   [&](const StepReport& r) {
                     steps.push_back(r.step);
                     return true;
                   },
               .on_evaluation =
                   [&](const EvaluationReport& r) {
                     evaluations.push_back(r.epoch);
                     return true;
                   }});
  EXPECT_EQ(steps, (std::vector<std::uint64_t>{4, 8, 12}));
  EXPECT_EQ(evaluations, (std::vector<std::uint64_t>{1, 3, 4})) << "the last epoch always counts";
}

TEST(Trainer, TrainingSecondsAreOfTheStepsAlone) {
  const WavesDataset train({.count = 7}), validation({.count = 2});
  TrainerOptions options = quick(0);
  options.max_steps = 5;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  using namespace std::chrono_literals;
  double elsewhere = 0.0, last = 0.0;
  const auto idle = [&] {
    std::this_thread::sleep_for(20ms);
    elsewhere += 0.02;
    return true;
  };
  std::vector<double> at_evaluation;
  TrainingEvents events;
  events.on_step = [&](const StepReport& report) {
    EXPECT_GT(report.training_seconds, last);
    EXPECT_LE(report.training_seconds, report.seconds - elsewhere);
    last = report.training_seconds;
    return idle();
  };
  events.on_evaluation = [&](const EvaluationReport& report) {
    EXPECT_GE(report.training_seconds, last);
    elsewhere += report.result.seconds;
    at_evaluation.push_back(report.training_seconds);
    return idle();
  };
  events.on_epoch = [&](const EpochReport& report) {
    EXPECT_LE(at_evaluation.back(), report.seconds - elsewhere);
    return idle();
  };
  trainer.fit(train, &validation, events);
  ASSERT_EQ(at_evaluation.size(), 2U);
  EXPECT_GT(at_evaluation[1], at_evaluation[0]) << "an epoch and a part of one";
}

TEST(Trainer, EndsInsideAnEpochAfterMaxSteps) {
  const WavesDataset train({.count = 7}), validation({.count = 2});
  TrainerOptions options = quick(0);
  options.max_steps = 5;
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  int evaluations = 0;
  const FitResult result =
      trainer.fit(train, &validation,
                  {.on_evaluation = [&](const EvaluationReport&) { return ++evaluations > 0; }});
  EXPECT_EQ(result.steps, 5U);
  EXPECT_EQ(result.epochs, 1U);
  EXPECT_EQ(evaluations, 2);
  EXPECT_EQ(trainer.fit(train, &validation).steps, 5U) << "there is nothing left to do";
}

TEST(Trainer, MeasuresTheNormalisationUnlessGiven) {
  const WavesDataset train;
  Trainer measured(test::test_stream(), test::tiny_model(), quick(1));
  measured.fit(train);
  EXPECT_EQ(measured.normalisation().mean, measure_normalisation(train).mean);
  EXPECT_EQ(measured.class_names(), train.class_names());
  TrainerOptions options = quick(1);
  options.normalisation = Normalisation{{0.25f}, {2.0f}};
  Trainer given(test::test_stream(), test::tiny_model(), options);
  given.fit(train);
  EXPECT_EQ(given.normalisation().mean, std::vector<float>{0.25f});
}

TEST(Trainer, ClipsTheGradientAndReportsItsNorm) {
  const WavesDataset data;
  const auto change = [&](float clip_norm, double& norm) {
    TrainerOptions options = quick();
    options.optimizer = {.name = "sgd", .sgd = {.momentum = 0.0f}};
    options.schedule = {.learning_rate = 1.0};
    options.clip_norm = clip_norm;
    Trainer trainer(test::test_stream(), test::tiny_model(), options);
    const std::vector<float> before = testing::values_of(trainer.stream(), trainer.theta());
    trainer.step(test::batch_of(data, 0, 3));
    norm = trainer.last_step().gradient_norm.value();
    const std::vector<float> after = testing::values_of(trainer.stream(), trainer.theta());
    double sum = 0.0;
    for (std::size_t i = 0; i < before.size(); ++i)
      sum += std::pow(static_cast<double>(after[i]) - static_cast<double>(before[i]), 2);
    return std::sqrt(sum);
  };
  double free_norm = 0.0, clipped_norm = 0.0;
  const double free_change = change(1e6f, free_norm);
  const double clipped_change = change(0.01f, clipped_norm);
  EXPECT_NEAR(free_change, free_norm, 1e-5);
  EXPECT_NEAR(clipped_change, 0.01, 1e-6);
  EXPECT_EQ(free_norm, clipped_norm) << "the report has the norm before clipping";
  EXPECT_GT(free_norm, 0.05);
}

TEST(Trainer, TakesBatchesInMemoryOfTheCaller) {
  const WavesDataset data({.count = 6, .ignore = true});
  const Batch batch = test::batch_of(data, 0, 4);
  for (const LossKind kind : {LossKind::kCrossEntropy, LossKind::kMeanSquaredError}) {
    TrainerOptions options = quick();
    options.loss.kind = kind;
    Trainer from_host(test::test_stream(), test::tiny_model(), options);
    Trainer from_device(test::test_stream(), test::tiny_model(), options);
    const Stream& stream = from_device.stream();
    Tensor x(stream.device(), {batch.n, batch.h, batch.w, batch.c});
    DeviceArray<std::int32_t> labels(stream.device(), x.shape().pixels());
    x.upload(stream, batch.images);
    labels.upload(stream, batch.labels.data(), labels.size());
    for (int i = 0; i < 3; ++i) {
      from_host.step(batch);
      from_device.step(x, labels.data());
    }
    EXPECT_EQ(from_host.last_step().loss, from_device.last_step().loss);
    EXPECT_TRUE(test::same_bits(from_host.state().parameters, from_device.state().parameters));
  }
}

TEST(Trainer, TrainsAClassifier) {
  const WavesDataset data({.count = 8, .height = 8, .width = 8, .classification = true});
  ModelBuilder builder("tiny-classifier", 1, 8, 8);
  const int pooled = builder.max_pool(builder.conv(builder.input(), {.name = "conv", .k = 3}));
  const Model model = builder.build(builder.dense(pooled, 2, /*relu=*/false));
  ASSERT_TRUE(model.is_classifier());
  TrainerOptions options = quick(30);
  Trainer trainer(test::test_stream(), model, options);
  trainer.fit(data);
  EXPECT_EQ(trainer.evaluate(data).confusion.total(), 8U);
  EXPECT_EQ(trainer.evaluate(data).confusion.pixel_accuracy(), 1.0);
}

/// theta after a step from the weights of seed 1, of so many images at once.
std::vector<float> step_by_hand(const std::string& optimizer, const Stream& stream,
                                const Model& model, ConstTensorView x, const std::int32_t* labels,
                                int images_at_once) {
  const auto method = make_optimizer(stream, {.name = optimizer}, model);
  BatchLoss loss(stream, model, x.shape, {}, method->curvature(), images_at_once);
  DeviceArray<float> theta(stream.device(), model.parameter_count());
  DeviceArray<float> grad(stream.device(), model.parameter_count());
  fill(stream, {theta.data(), theta.size()}, 0.0f);
  model.initialise(stream, 1, {theta.data(), theta.size()});
  loss.linearise({theta.data(), theta.size()}, x, labels);
  loss.gradient({grad.data(), grad.size()});
  method->step({.stream = stream,
                .theta = {theta.data(), theta.size()},
                .grad = {grad.data(), grad.size()},
                .step = 1,
                .learning_rate = 1.0f,
                .batch = &loss});
  return theta.to_host(stream);
}

TEST(Trainer, GradientsOfFoofAndAutoAreOfTheWholeBatchAtOnce) {
  const Stream stream = test::test_stream();
  const Model model = test::tiny_model();
  const Batch batch = test::batch_of(WavesDataset({.count = 4}), 0, 4);
  Tensor x(stream.device(), {batch.n, batch.h, batch.w, batch.c});
  DeviceArray<std::int32_t> labels(stream.device(), static_cast<std::int64_t>(batch.labels.size()));
  x.upload(stream, batch.images);
  labels.upload(stream, batch.labels.data(), labels.size());
  for (const char* name : {"foof", "auto"}) {
    SCOPED_TRACE(name);
    const std::vector<float> whole = step_by_hand(name, stream, model, x, labels.data(), 4);
    EXPECT_NE(whole, step_by_hand(name, stream, model, x, labels.data(), 2));
    Trainer trainer(stream, model, {.optimizer = {.name = name}});
    trainer.step(x, labels.data());
    EXPECT_EQ(whole, testing::values_of(stream, trainer.theta()));
  }
}

TEST(Trainer, TakesAsManyImagesAtOnceAsItIsTold) {
  const Stream stream = test::test_stream();
  const WavesDataset data({.count = 7});
  for (const char* name : {"gd", "adam", "auto"}) {
    SCOPED_TRACE(name);
    const auto trained = [&](int images_at_once) {
      Trainer trainer(stream, test::tiny_model(),
                      {.batch = 7,
                       .images_at_once = images_at_once,
                       .epochs = 0,
                       .max_steps = 3,
                       .optimizer = {.name = name}});
      trainer.fit(data);
      return std::pair(testing::values_of(stream, trainer.theta()), trainer.memory_bytes());
    };
    const auto [whole, memory] = trained(0);
    const auto [parts, less] = trained(2);
    EXPECT_LT(less, memory);
    EXPECT_NE(parts, whole) << "added up in another order";
    for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(parts[i], whole[i], 1e-4f) << i;
    EXPECT_EQ(trained(100).first, trained(7).first);
  }
  EXPECT_EQ(
      message_of<InputError>([&] { Trainer(stream, test::tiny_model(), {.images_at_once = -1}); }),
      "trainer: images_at_once is -1, it must not be negative");
}

TEST(Trainer, AllocatesNothingNewAfterTheFirstEpoch) {
  const WavesDataset train({.count = 7}), validation({.count = 4});
  Trainer trainer(test::test_stream(), test::tiny_model(), quick(4));
  const std::size_t at_rest = trainer.memory_bytes();
  std::vector<std::size_t> bytes;
  trainer.fit(train, &validation, {.on_epoch = [&](const EpochReport&) {
                bytes.push_back(trainer.memory_bytes());
                return true;
              }});
  EXPECT_GT(bytes.at(0), at_rest);
  EXPECT_EQ(bytes.at(0), bytes.at(3));
}

template <class Exception, class Action>
void expect_throw_saying(const Action& action, const std::vector<std::string>& parts) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown; expected: " << parts[0];
  } catch (const Exception& error) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

/// Waves that nobody may look at.
class UnreadDataset final : public Dataset {
 public:
  std::size_t size() const override { return waves_.size(); }
  Sample get(std::size_t) const override {
    ADD_FAILURE() << "an image was read";
    return {};
  }
  ImageSize image_size(std::size_t index) const override { return waves_.image_size(index); }
  int channels() const override { return waves_.channels(); }
  int classes() const override { return waves_.classes(); }
  std::vector<std::string> class_names() const override { return waves_.class_names(); }
  bool is_classification() const override { return waves_.is_classification(); }
  std::string name() const override { return waves_.name(); }

 private:
  WavesDataset waves_;
};

TEST(Trainer, FindsOutBeforeItReadsThatAStepNeedsTooMuchMemory) {
  constexpr int kSide = 1 << 23;  // 2^46 pixels: more than processors can address
  TrainerOptions options = quick(1);
  options.augment = {.crop_height = kSide, .crop_width = kSide};
  options.normalisation = Normalisation{{0.0f}, {1.0f}};
  Trainer trainer(test::test_stream(), test::tiny_model(), options);
  EXPECT_THROW(trainer.fit(UnreadDataset()), Error);
}

TEST(Trainer, RefusesDataThatDoesNotFitTheModel) {
  Trainer trainer(test::test_stream(), test::tiny_model(), quick());
  const WavesDataset colour({.channels = 3}), many({.classes = 3}),
      classes({.classification = true}), fits;
  expect_throw_saying<InputError>([&] { trainer.fit(colour); },
                                  {"waves", "3 channels", "tiny takes 1"});
  expect_throw_saying<InputError>([&] { trainer.fit(fits, &many); }, {"3 classes", "tiny has 2"});
  expect_throw_saying<InputError>([&] { trainer.evaluate(classes); },
                                  {"one label", "classifies pixels"});
  expect_throw_saying<std::invalid_argument>(
      [&] {
        trainer.predict(std::vector<float>(5), {1, 2, 3, 1});
      },
      {"5 values", "[1,2,3,1]"});
  expect_throw_saying<std::invalid_argument>([&] { trainer.step(test::batch_of(colour, 0, 1)); },
                                             {"has 3 channels", "takes 1"});
  Batch short_of_labels = test::batch_of(fits, 0, 2);
  short_of_labels.labels.pop_back();
  expect_throw_saying<std::invalid_argument>([&] { trainer.step(short_of_labels); },
                                             {"239 labels", "takes 240"});
  EXPECT_THROW(trainer.last_step(), std::logic_error);
  EXPECT_EQ(trainer.fit(fits).steps, 9U) << "none of that did any harm";
}

TEST(Trainer, RefusesOptionsOutOfRange) {
  const auto refused = [](TrainerOptions options, const char* part) {
    expect_throw_saying<InputError>(
        [&] { Trainer(test::test_stream(), test::tiny_model(), options); }, {part});
  };
  refused({.batch = 0}, "batch is 0");
  refused({.epochs = 0}, "epochs and max_steps");
  refused({.optimizer = {.name = "best"}}, "sgd, adam, adamw");
  refused({.optimizer = {.name = "adam", .adam = {.beta1 = -1.0f}}}, "beta1");
  refused({.optimizer = {.name = "newton", .newton = {.largest = 7}}}, "for at most 7");
  refused({.schedule = {.learning_rate = -1.0}}, "learning_rate");
  refused({.loss = {.class_weights = {1.0f}}}, "1 class weights for 2 classes");
  refused({.loss = {.class_weights = {1.0f, -1.0f}}}, "class weight");
  refused({.loss = {.label_smoothing = 1.5f}}, "label smoothing");
  refused({.clip_norm = -1.0f}, "clip_norm");
  // As the command refuses them.
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double rate : {infinity, 1e39, std::numeric_limits<double>::quiet_NaN()})
    refused({.optimizer = {.name = "sgd"}, .schedule = {.learning_rate = rate}},
            "it must be a finite number in single precision");
  refused({.optimizer = {.name = "sgd"}, .schedule = {.learning_rate = infinity}},
          "learning_rate is inf, ");
  refused({.optimizer = {.name = "sgd"}, .clip_norm = static_cast<float>(infinity)},
          "clip_norm is inf, it must be a finite number, not negative");
  refused({.convergence = {.patience = -1}}, "patience");
  refused({.log_every = 0}, "log_every");
  refused({.evaluation_batch = -1}, "evaluation_batch");
  refused({.loader_threads = -1}, "loader_threads");
}

TEST(Trainer, DefaultsTakeStepsOutsideOfFit) {
  const WavesDataset data({.count = 4});
  Trainer trainer(test::test_stream(), test::tiny_model(), {});
  const Batch batch = test::batch_of(data, 0, 4);
  trainer.step(batch);
  const StepReport first = trainer.last_step();
  for (int step = 0; step < 10; ++step) trainer.step(batch);
  const StepReport last = trainer.last_step();
  EXPECT_GT(first.learning_rate, 0.0);
  EXPECT_EQ(last.learning_rate, first.learning_rate);
  EXPECT_LT(last.loss, 0.8 * first.loss);
}

}  // namespace
}  // namespace curvseg
