// Dense factorisations, patches and their second moment: GFLOP/s by the operations that the method
// needs, and the part of the measured peak. Times of one matrix a call: it is one thread's work.
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include "curvseg/ops.hpp"
#include "perf/support/harness.hpp"
#include "reference/dense.hpp"

namespace curvseg::perf {
namespace {

enum class Kind { kInverse, kBasis, kEigen, kSecondMoment };

constexpr int kCheckedSize = 65;
constexpr int kPositions = 512;  // rows of a second moment

/// All buffers of a matrix of n rows: positive definite, diagonally dominant.
class Dense : public Operation {
 public:
  Dense(const Stream& stream, Kind kind, int n) : stream_(stream), kind_(kind), size_(n) {}

  void check() override {
    make(kCheckedSize);
    run();
    const auto n = static_cast<std::size_t>(n_);
    const reference::DenseMatrix a(rows(), n, in_.to_host(stream_)), x(n, n, out_.to_host(stream_));
    const double worst = error(a, x);
    if (!(worst <= 1e-4)) throw std::runtime_error("an error of " + std::to_string(worst));
  }
  void prepare() override { make(size_); }
  Work work() const override {
    const double n = n_, cube = n * n * n;
    switch (kind_) {
      case Kind::kInverse:
        return {.flops = cube};
      case Kind::kBasis:
        return {.flops = 8.0 / 3.0 * cube};
      case Kind::kEigen:
        return {.flops = 9.0 * cube};  // Golub and Van Loan, section 8.3
      case Kind::kSecondMoment:
        return {.flops = 2.0 * kPositions * n * n};
    }
    return {};
  }
  void run() override {
    const MatrixView in(in_.data(), n_, n_), out(out_.data(), n_, n_);
    const Workspace workspace{scratch_.data(), scratch_.bytes()};
    const InverseSpdOperands inverse{in, out, nullptr};
    const OrthonormalBasisOperands basis{in, out, nullptr};
    const SymmetricEigenOperands eigen{in, {values_.data(), n_}, out, nullptr};
    switch (kind_) {
      case Kind::kInverse:
        inverse_spd(stream_, {&inverse, 1}, {}, workspace);
        break;
      case Kind::kBasis:
        orthonormal_basis(stream_, {&basis, 1}, workspace);
        break;
      case Kind::kEigen:
        symmetric_eigen(stream_, {&eigen, 1}, workspace);
        break;
      case Kind::kSecondMoment: {
        const ConstTensorView patches(in_.data(), {1, 1, kPositions, n_});
        conv2d_backward_weights(stream_, patches, patches, {}, false, workspace,
                                FilterView(out_.data(), 1, 1, n_, n_));
        break;
      }
    }
  }

 private:
  std::size_t rows() const {
    return kind_ == Kind::kSecondMoment ? kPositions : static_cast<std::size_t>(n_);
  }
  std::size_t workspace_bytes() const {
    const Device& device = stream_.device();
    const int sizes[] = {n_};
    switch (kind_) {
      case Kind::kInverse:
        return inverse_spd_workspace(device, sizes);
      case Kind::kBasis:
        return orthonormal_basis_workspace(device, sizes);
      case Kind::kEigen:
        return symmetric_eigen_workspace(device, sizes);
      case Kind::kSecondMoment:
        return conv2d_backward_weights_workspace(device, {1, 1, kPositions, n_},
                                                 ConstFilterView(nullptr, 1, 1, n_, n_), {});
    }
    return 0;
  }
  void make(int n) {
    n_ = n;
    const auto size = static_cast<std::size_t>(n);
    std::mt19937 engine(1);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> a(rows() * size);
    for (float& value : a) value = uniform(engine);
    // Symmetric where it is square; its norm is about 1.2·√n before the diagonal grows.
    for (std::size_t i = 0; i < std::min(rows(), size); ++i) {
      for (std::size_t j = 0; j < i; ++j) a[i * size + j] = a[j * size + i];
      a[i * size + i] += 2.0f * std::sqrt(static_cast<float>(n));
    }
    const Device& device = stream_.device();
    in_ = DeviceArray<float>(device, static_cast<std::int64_t>(a.size()));
    in_.upload(stream_, a.data(), in_.size());
    stream_.synchronise();
    out_ = DeviceArray<float>(device, std::int64_t{n} * n);
    values_ = DeviceArray<float>(device, n);
    scratch_ =
        DeviceArray<float>(device, static_cast<std::int64_t>(workspace_bytes() / sizeof(float)));
  }

  /// The largest element of AX − I, QᵀQ − I, or the relative one of AᵀA.
  double error(const reference::DenseMatrix& a, const reference::DenseMatrix& x) const {
    using reference::multiply;
    using reference::transpose;
    reference::DenseMatrix difference = kind_ == Kind::kInverse        ? multiply(a, x)
                                        : kind_ == Kind::kSecondMoment ? multiply(transpose(a), a)
                                                                       : multiply(transpose(x), x);
    double worst = 0.0;
    for (std::size_t i = 0; i < x.rows; ++i)
      for (std::size_t j = 0; j < x.rows; ++j) {
        const bool moment = kind_ == Kind::kSecondMoment;
        const double wanted = moment ? x.at(i, j) : i == j ? 1.0 : 0.0;
        const double off = std::fabs(difference.at(i, j) - wanted) / (moment ? kPositions : 1.0);
        worst = !(off <= worst) ? off : worst;
      }
    return worst;
  }

  const Stream& stream_;
  Kind kind_;
  int size_, n_ = 0;
  DeviceArray<float> in_, out_, values_, scratch_;
};

}  // namespace

void register_benchmarks() {
  constexpr std::pair<Kind, const char*> kKinds[] = {{Kind::kInverse, "inverse_spd/"},
                                                     {Kind::kBasis, "orthonormal_basis/"},
                                                     {Kind::kEigen, "symmetric_eigen/"},
                                                     {Kind::kSecondMoment, "second_moment/512x"}};
  for (const auto& [kind, name] : kKinds)
    for (const int n : {145, 289, 577, 1153})
      add(name + std::to_string(n), [kind = kind, n](const Stream& stream) {
        return std::make_unique<Dense>(stream, kind, n);
      });
}

}  // namespace curvseg::perf
