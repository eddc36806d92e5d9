// Predictions and confusion matrices: GB/s and the part of the measured triad bandwidth.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/harness.hpp"

namespace curvseg::perf {
namespace {

using Labels = std::vector<std::int32_t>;

/// The first largest logit of each pixel.
Labels predictions(const std::vector<float>& logits, int classes) {
  const auto c = static_cast<std::size_t>(classes);
  Labels labels(logits.size() / c);
  for (std::size_t pixel = 0; pixel < labels.size(); ++pixel) {
    std::size_t best = 0;
    for (std::size_t k = 1; k < c; ++k)
      if (logits[pixel * c + k] > logits[pixel * c + best]) best = k;
    labels[pixel] = static_cast<std::int32_t>(best);
  }
  return labels;
}

std::vector<double> as_doubles(const Labels& labels) { return {labels.begin(), labels.end()}; }

/// Logits, their predictions, and a confusion matrix of the predictions with themselves.
struct Data {
  Data(const Stream& stream, const Shape& shape)
      : logits(random_tensor(stream, shape, 1)),
        labels(stream.device(), shape.pixels()),
        matrix(stream.device(), std::int64_t{shape.c} * shape.c) {
    argmax(stream, logits, labels.data());
  }
  Tensor logits;
  DeviceArray<std::int32_t> labels;
  DeviceArray<unsigned long long> matrix;
};

class Metric : public Operation {
 public:
  Metric(const Stream& stream, const Shape& shape) : stream_(stream), shape_(shape) {}

  void prepare() override {
    const auto bytes =
        sizeof(float) * static_cast<std::size_t>(shape_.elements() + 2 * shape_.pixels());
    rotation_.emplace(bytes, [this] { return std::make_unique<Data>(stream_, shape_); });
  }
  void run() override { run(*rotation_->next(), shape_); }

 protected:
  virtual void run(Data& data, const Shape& shape) = 0;
  static Shape small(Shape shape) {
    shape.h = 11;
    return shape;
  }

  Stream stream_;
  Shape shape_;

 private:
  std::optional<Rotation<std::unique_ptr<Data>>> rotation_;
};

class Argmax final : public Metric {
 public:
  using Metric::Metric;
  void check() override {
    const Shape shape = small(shape_);
    Data data(stream_, shape);
    const Labels labels = data.labels.to_host(stream_);
    require_equal("argmax", {labels.begin(), labels.end()},
                  as_doubles(predictions(data.logits.to_host(stream_), shape.c)));
  }
  Work work() const override {
    return {.bytes = sizeof(float) * static_cast<double>(shape_.elements() + shape_.pixels())};
  }
  using Metric::run;

 protected:
  void run(Data& data, const Shape&) override { argmax(stream_, data.logits, data.labels.data()); }
};

class Confusion final : public Metric {
 public:
  using Metric::Metric;
  void check() override {
    const Shape shape = small(shape_);
    Data data(stream_, shape);
    const std::vector<unsigned long long> zeros(static_cast<std::size_t>(data.matrix.size()));
    data.matrix.upload(stream_, zeros.data(), data.matrix.size());
    stream_.synchronise();
    run(data, shape);
    const auto counts = data.matrix.to_host(stream_);
    std::vector<double> expected(counts.size());
    for (const std::int32_t label : predictions(data.logits.to_host(stream_), shape.c))
      expected[static_cast<std::size_t>(label) * (static_cast<std::size_t>(shape.c) + 1)] += 1.0;
    require_equal("confusion_matrix", {counts.begin(), counts.end()}, expected);
  }
  Work work() const override {
    return {.bytes = 2.0 * sizeof(std::int32_t) * static_cast<double>(shape_.pixels())};
  }
  using Metric::run;

 protected:
  void run(Data& data, const Shape& shape) override {
    confusion_matrix(stream_, data.labels.data(), data.labels.data(), shape.pixels(), shape.c,
                     data.matrix.data());
  }
};

template <class Kind>
void add_metric(const std::string& name, const Shape& shape) {
  add(name, [shape](const Stream& stream) { return std::make_unique<Kind>(stream, shape); });
}

}  // namespace

void register_benchmarks() {
  for (const Shape& shape : {Shape{8, 96, 96, 2}, Shape{4, 180, 240, 12}, Shape{1, 512, 512, 21}}) {
    const std::string size = std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" +
                             std::to_string(shape.w) + "x" + std::to_string(shape.c);
    add_metric<Argmax>("argmax/" + size, shape);
    add_metric<Confusion>("confusion_matrix/" + size, shape);
  }
}

}  // namespace curvseg::perf
