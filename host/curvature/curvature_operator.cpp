#include "curvseg/curvature_operator.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "curvseg/ops.hpp"
#include "host/curvature/image_runs.hpp"

namespace curvseg {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw std::invalid_argument("curvature operator: " + why);
}

CurvatureKind least_kind(CurvatureMatrix matrix) {
  return matrix == CurvatureMatrix::kHessian ? CurvatureKind::kLowMemoryHessian
                                             : CurvatureKind::kGaussNewton;
}

}  // namespace

struct CurvatureOperator::State {
  State(const Stream& s, std::vector<BatchLoss*> losses, const CurvatureOperatorOptions& o,
        std::size_t mini_batches)
      : stream(s), batches(std::move(losses)), options(o), denominators(stream.device(), 2) {
    if (batches.empty()) refuse("there is no batch");
    for (const BatchLoss* batch : batches)
      if (batch == nullptr) refuse("a batch is missing");
    size = batches[0]->model().parameter_count();
    for (const BatchLoss* batch : batches) check(*batch);
    if (options.damping.size != 0 && options.damping.size != size)
      refuse("the damping has " + std::to_string(options.damping.size) +
             " elements, the model has " + std::to_string(size));
    if (options.matrix == CurvatureMatrix::kFisher && options.seed == nullptr)
      refuse("there is no seed to sample labels from");
    if (options.images.is_list()) {
      list.assign(options.images.list().begin(), options.images.list().end());
      options.images = list;
    }
    const bool keeps = std::any_of(batches.begin(), batches.end(), keeps_gradients);
    const bool several = batches.size() > 1 || mini_batches > 1;
    if (options.matrix == CurvatureMatrix::kHessian && keeps && several)
      scaled = DeviceArray<float>(stream.device(), size);
  }

  static bool keeps_gradients(const BatchLoss* batch) {
    return batch->kind() == CurvatureKind::kHessian;
  }
  float* total() const { return denominators.data(); }
  float* own() const { return denominators.data() + 1; }

  void check(const BatchLoss& batch) const {
    const std::string& name = batch.model().name();
    if (batch.kind() < least_kind(options.matrix))
      throw std::logic_error(name + ": curvature operator: a batch is not made for this matrix");
    if (name != batches[0]->model().name() || batch.model().parameter_count() != size)
      refuse("a batch is of model " + name + ", another of " + batches[0]->model().name());
    check_subset(name, "curvature operator", options.images, batch.input_shape().n);
  }

  void check_vectors(std::span<const ConstVectorView> v,
                     std::span<const VectorView> products) const {
    if (v.size() != products.size())
      refuse("there are " + std::to_string(v.size()) + " directions and " +
             std::to_string(products.size()) + " products");
    for (std::size_t i = 0; i < v.size(); ++i)
      if (v[i].size != size || products[i].size != size)
        refuse("a direction has " + std::to_string(v[i].size) + " elements, its product " +
               std::to_string(products[i].size) + ", the model has " + std::to_string(size));
  }

  std::size_t count() const { return cold.empty() ? batches.size() : cold.size(); }

  /// Batch `b`, ready for products.
  BatchLoss& linearised(std::size_t b) const {
    if (cold.empty()) return *batches[b];
    batches[0]->linearise(theta, cold[b].x, cold[b].labels);
    return *batches[0];
  }

  /// D_b, from the labels alone.
  void write_denominator(std::size_t b, bool accumulate, float* to) const {
    const BatchLoss& batch = *batches[cold.empty() ? b : 0];
    const std::int32_t* labels = cold.empty() ? batch.labels() : cold[b].labels;
    if (labels == nullptr)
      throw std::logic_error(batch.model().name() +
                             ": curvature operator: a batch is not linearised");
    batch.write_denominator(labels, options.images, accumulate, to);
  }

  /// Whether batch `b` multiplies D_b/ΣD·v over its own denominator, which is the same, as products
  /// are linear: with another's it could not keep its gradients.
  bool rescales(const BatchLoss& batch) const {
    return scaled.size() > 0 && keeps_gradients(&batch);
  }

  void multiply(BatchLoss& batch, std::size_t b, ConstVectorView v,
                const VectorView& product) const {
    ProductOptions to{.accumulate = b > 0,
                      .images = options.images,
                      .denominator = count() == 1 ? nullptr : total()};
    if (rescales(batch)) {
      linear_combination(stream, {{v, 1.0f, own(), total()}}, {scaled.data(), size});
      v = {scaled.data(), size};
      to.denominator = nullptr;
    }
    switch (options.matrix) {
      case CurvatureMatrix::kGaussNewton:
        return batch.ggnvp(v, product, to);
      case CurvatureMatrix::kHessian:
        return batch.hvp(v, product, to);
      case CurvatureMatrix::kEmpiricalFisher:
        return batch.empirical_fisher_vp(v, product, to);
      case CurvatureMatrix::kFisher:
        return batch.fisher_vp(v, {options.seed, b}, product, to);
    }
  }

  Stream stream;
  std::vector<BatchLoss*> batches;
  CurvatureOperatorOptions options;
  std::vector<int> list;  // of options.images
  DeviceArray<float> denominators, scaled;
  std::int64_t size = 0;
  // Of mini-batches that the one batch linearises in turn.
  ConstVectorView theta;
  std::vector<MiniBatch> cold;
};

CurvatureOperator::CurvatureOperator(const Stream& stream, std::vector<BatchLoss*> batches,
                                     const CurvatureOperatorOptions& options)
    : state_(std::make_unique<State>(stream, std::move(batches), options, 0)) {}

CurvatureOperator::CurvatureOperator(const Stream& stream, BatchLoss& loss, ConstVectorView theta,
                                     std::vector<MiniBatch> batches,
                                     const CurvatureOperatorOptions& options)
    : state_(std::make_unique<State>(stream, std::vector<BatchLoss*>{&loss}, options,
                                     batches.size())) {
  if (batches.empty()) refuse("there is no mini-batch");
  for (const MiniBatch& batch : batches)
    if (!(batch.x.shape == loss.input_shape()))
      refuse("a mini-batch is " + to_string(batch.x.shape) + ", the loss takes " +
             to_string(loss.input_shape()));
  for (const MiniBatch& batch : batches)
    if (batch.labels == nullptr) refuse("a mini-batch has no labels");
  if (theta.size != state_->size)
    refuse("theta has " + std::to_string(theta.size) + " elements, the model has " +
           std::to_string(state_->size));
  state_->theta = theta;
  state_->cold = std::move(batches);
}

CurvatureOperator::~CurvatureOperator() = default;
CurvatureOperator::CurvatureOperator(CurvatureOperator&&) noexcept = default;
CurvatureOperator& CurvatureOperator::operator=(CurvatureOperator&&) noexcept = default;

void CurvatureOperator::apply(ConstVectorView v, VectorView product) {
  apply(std::span(&v, 1), std::span<const VectorView>(&product, 1));
}

void CurvatureOperator::apply(std::span<const ConstVectorView> v,
                              std::span<const VectorView> products) {
  State& s = *state_;
  s.check_vectors(v, products);
  if (v.empty()) return;
  for (std::size_t b = 0; b < s.count(); ++b) s.write_denominator(b, b > 0, s.total());
  for (std::size_t b = 0; b < s.count(); ++b) {
    BatchLoss& batch = s.linearised(b);
    if (s.rescales(batch)) s.write_denominator(b, /*accumulate=*/false, s.own());
    for (std::size_t i = 0; i < v.size(); ++i) s.multiply(batch, b, v[i], products[i]);
  }
  if (s.options.lambda == nullptr && s.options.l2 == 0.0f) return;
  for (std::size_t i = 0; i < v.size(); ++i)
    add_damping(s.stream, v[i], s.options.lambda, s.options.damping, s.options.l2, products[i]);
}

CurvatureOperator::operator std::function<void(ConstVectorView, VectorView)>() {
  return [this](ConstVectorView v, VectorView product) { apply(v, product); };
}

const float* CurvatureOperator::denominator() const { return state_->total(); }
std::int64_t CurvatureOperator::size() const { return state_->size; }
std::size_t CurvatureOperator::memory_bytes() const {
  return state_->denominators.bytes() + state_->scaled.bytes();
}

}  // namespace curvseg
