// What is planned when a model is made is not allocated again: after its first steps training takes
// nothing from the heap.
#include "tests/support/allocations.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <functional>
#include <random>

#include "curvseg/curvature.hpp"
#include "curvseg/ops.hpp"
#include "curvseg/train.hpp"

namespace curvseg {
namespace {

constexpr Shape kInput{4, 32, 32, 3};
constexpr int kClasses = 3;

Model unet() { return zoo::unet(kInput.c, kClasses, {.width = 8, .depth = 2}); }

Batch random_batch(int images = kInput.n) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  Shape shape = kInput;
  shape.n = images;
  Batch batch;
  batch.n = shape.n, batch.h = shape.h, batch.w = shape.w, batch.c = shape.c;
  for (std::int64_t i = 0; i < shape.elements(); ++i) batch.images.push_back(normal(engine));
  for (std::int64_t i = 0; i < shape.pixels(); ++i)
    batch.labels.push_back(static_cast<std::int32_t>(engine() % kClasses));
  return batch;
}

/// By the number of threads.
class Allocations : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (const char* reason = testing::heap_allocations_uncounted()) GTEST_SKIP() << reason;
#ifdef __clang__
    if (GetParam() > 1)
      GTEST_SKIP() << "clang's OpenMP itself allocates for loops that several threads share";
#endif
    omp_set_num_threads(GetParam());
  }
  void TearDown() override { omp_set_num_threads(threads_before_); }

  /// Of each of `counted` steps after the first `warm` ones.
  static void expect_none(const std::string& what, int warm, int counted,
                          const std::function<void()>& step) {
    for (int i = 0; i < warm; ++i) step();
    for (int i = 1; i <= counted; ++i) {
      const std::uint64_t before = testing::heap_allocations();
      step();
      const std::uint64_t after = testing::heap_allocations();
      EXPECT_EQ(after - before, 0U) << what << ", step " << warm + i;
    }
  }

  static void train(const std::string& what, const OptimizerOptions& optimizer, int warm,
                    int counted, float clip_norm = 0.0f) {
    Trainer trainer(Stream(Device::open("host")), unet(),
                    {.optimizer = optimizer, .clip_norm = clip_norm});
    const Batch batch = random_batch();
    expect_none(what, warm, counted, [&] {
      trainer.step(batch);
      trainer.last_step();
    });
  }

 private:
  int threads_before_ = omp_get_max_threads();
};

/// A model on a batch, and vectors as long as theta.
struct Work {
  explicit Work(CurvatureKind kind)
      : stream(Device::open("host")),
        model(unet()),
        x(stream.device(), kInput),
        labels(stream.device(), kInput.pixels()),
        loss(stream, model, kInput, {}, kind) {
    const Batch batch = random_batch();
    x.upload(stream, batch.images);
    labels.upload(stream, batch.labels.data(), labels.size());
    for (DeviceArray<float>* vector : {&theta, &v, &to}) {
      *vector = DeviceArray<float>(stream.device(), model.parameter_count());
      model.initialise(stream, vector == &v ? 2 : 1, {vector->data(), vector->size()});
    }
    stream.synchronise();
  }
  static VectorView view(const DeviceArray<float>& array) { return {array.data(), array.size()}; }
  void linearise() { loss.linearise(view(theta), x, labels.data()); }

  Stream stream;
  Model model;
  Tensor x;
  DeviceArray<std::int32_t> labels;
  DeviceArray<float> theta, v, to;
  BatchLoss loss;
};

TEST_P(Allocations, NoneInAGradient) {
  Work work(CurvatureKind::kNone);
  expect_none("gradient", 1, 2, [&] {
    work.linearise();
    work.loss.gradient(Work::view(work.to));
  });
}

TEST_P(Allocations, NoneInCurvatureProductsWarmOrCold) {
  for (const CurvatureKind kind : {CurvatureKind::kHessian, CurvatureKind::kLowMemoryHessian}) {
    Work work(kind);
    const auto ggnvp = [&] { work.loss.ggnvp(Work::view(work.v), Work::view(work.to)); };
    const auto hvp = [&] { work.loss.hvp(Work::view(work.v), Work::view(work.to)); };
    work.linearise();
    expect_none("ggnvp, warm", 1, 2, ggnvp);
    expect_none("hvp, warm", 1, 2, hvp);
    for (const std::function<void()>& product : {std::function(ggnvp), std::function(hvp)})
      expect_none("cold", 1, 2, [&] {
        work.linearise();
        product();
      });
  }
}

TEST_P(Allocations, NoneInInference) {
  const Work work(CurvatureKind::kNone);
  Plan plan(work.model, work.stream.device(), kInput, PlanMode::kInference);
  expect_none("inference", 1, 2,
              [&] { plan.forward(work.stream, Work::view(work.theta), work.x); });
}

TEST_P(Allocations, NoneInAStepOfAFirstOrderMethod) {
  for (const std::string name : {"sgd", "adam", "adamw", "gd", "projected-gd"}) {
    train(name, {.name = name}, 2, 3);
    train(name + ", clipped", {.name = name}, 2, 3, 1.0f);
  }
}

TEST_P(Allocations, NoneInAStepOfAutoInEitherPhase) {
  OptimizerOptions options;
  train("auto while it is FOOF", options, 5, 17);  // the 20th inverts the factors
  options.automatic.foof_steps = 4;
  options.automatic.watched_steps = 2;
  options.automatic.measured_steps = 6;
  train("auto while it is SOAP", options, 5, 8);
}

TEST_P(Allocations, NoneInAnInverseOrABasisHoweverLarge) {
  const Stream stream(Device::open("host"));
  constexpr int kSides[] = {37, 1153, 600};
  std::vector<DeviceArray<float>> memory;
  std::vector<InverseSpdOperands> inverses;
  std::vector<OrthonormalBasisOperands> bases;
  for (const int n : kSides) {
    for (int i = 0; i < 2; ++i)
      memory.emplace_back(stream.device(), static_cast<std::int64_t>(n) * n);
    float* from = (memory.end() - 2)->data();
    float* to = memory.back().data();
    for (int i = 0; i < n * n; ++i)
      from[i] = i % (n + 1) == 0 ? 2.0f : 0.5f / static_cast<float>(n);
    inverses.push_back({{from, n, n}, {to, n, n}});
    bases.push_back({{from, n, n}, {to, n, n}});
  }
  const std::size_t bytes = std::max(inverse_spd_workspace(stream.device(), kSides),
                                     orthonormal_basis_workspace(stream.device(), kSides));
  const DeviceArray<float> scratch(stream.device(),
                                   static_cast<std::int64_t>(bytes / sizeof(float)));
  const Workspace workspace{scratch.data(), bytes};
  expect_none("inverse", 1, 2, [&] { inverse_spd(stream, inverses, {}, workspace); });
  expect_none("basis", 1, 2, [&] { orthonormal_basis(stream, bases, workspace); });
}

TEST_P(Allocations, NoneInAStepOfTheOthersThatNeverWait) {
  for (const std::string name : {"foof", "soap", "muon", "damped-diagonal", "preconditioned-gd"})
    train(name, {.name = name}, 5, 4);
}

// Batches that differ in size, as the last of an epoch does, and their parts for the curvature too.
TEST_P(Allocations, NoneInAStepOfTheMethodsThatTryTheirSteps) {
  OptimizerOptions half{.name = "hessian-free"};
  half.hessian_free.batch_fraction = 0.5f;
  const Batch whole = random_batch(4), part = random_batch(2);
  const Model linear = [] {
    ModelBuilder builder("linear", kInput.c);
    return builder.build(builder.conv(builder.input(), {.k = kClasses, .r = 1, .s = 1}));
  }();
  for (const OptimizerOptions& options :
       {half, OptimizerOptions{.name = "hessian-free"}, OptimizerOptions{.name = "newton-cg"},
        OptimizerOptions{.name = "newton"}}) {
    Trainer trainer(Stream(Device::open("host")), options.name == "newton" ? linear : unet(),
                    {.optimizer = options});
    expect_none(options.name, 3, 2, [&] {
      for (const Batch* batch : {&whole, &part}) {
        trainer.step(*batch);
        trainer.last_step();
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Allocations, ::testing::Values(1, 2),
                         [](const auto& instance) { return std::to_string(instance.param); });

}  // namespace
}  // namespace curvseg
