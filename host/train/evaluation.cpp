#include "host/train/evaluation.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include "host/train/device_memory.hpp"

namespace curvseg {
namespace {

/// Batches differ in how many labelled pixels they have: each loss counts with its denominator. In
/// double, so that the number of batches costs no digits.
struct LossSum {
  double loss = 0.0;
  double weight = 0.0;

  void add(BatchSlot& slot) {
    slot.wait();
    loss += slot.loss_value() * slot.denominator_value();
    weight += slot.denominator_value();
  }
  double mean() const { return weight == 0.0 ? 0.0 : loss / weight; }
};

ConfusionCounts read_matrix(const Stream& stream, const DeviceArray<unsigned long long>& matrix,
                            int classes) {
  const std::vector<unsigned long long> counts = matrix.to_host(stream);
  return {classes, std::vector<std::uint64_t>(counts.begin(), counts.end())};
}

}  // namespace

EvaluationResult evaluate(Engine& engine, DataLoader& loader) {
  const auto start = std::chrono::steady_clock::now();
  const Stream& stream = engine.stream();
  const int classes = engine.model().classes();
  const std::vector<unsigned long long> zeros(static_cast<std::size_t>(classes) *
                                              static_cast<std::size_t>(classes));
  const auto count = static_cast<std::int64_t>(zeros.size());
  DeviceArray<unsigned long long> matrix(stream.device(), count);
  const SynchroniseOnExit idle(stream);
  matrix.upload(stream, zeros.data(), count);

  EvaluationResult result;
  LossSum sum;
  Batch batch;
  BatchSlot* before = nullptr;
  loader.start_epoch(0);
  for (std::uint64_t n = 0; loader.next(batch); ++n) {
    BatchSlot& slot = engine.slot(n);
    slot.settle();  // at once, unless an exception has left copies of its memory under way
    std::swap(slot.batch, batch);
    result.images += static_cast<std::size_t>(slot.batch.n);
    engine.evaluate(engine.upload(slot), slot, matrix.data());
    if (before) sum.add(*before);
    before = &slot;
  }
  if (before) sum.add(*before);
  result.loss = sum.mean();
  result.confusion = read_matrix(stream, matrix, classes);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace curvseg
