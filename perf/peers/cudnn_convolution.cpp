#include "perf/peers/cudnn_convolution.hpp"

#include <cudnn.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <type_traits>

namespace curvseg::perf {
namespace {

void check(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw std::runtime_error(std::string(what) + ": " + cudnnGetErrorString(status));
}

/// A cuDNN object, destroyed with its owner.
template <class T>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, cudnnStatus_t (*)(T)>;
template <class T>
Owned<T> make(cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T), const char* what) {
  T object = nullptr;
  check(create(&object), what);
  return {object, destroy};
}

/// Elements of four axes, each with a place in memory.
using Extents = std::array<std::int64_t, 4>;

/// `values`, whose axes lie in the order 0, 1, 2, 3, with axis order[i] at place i.
std::vector<float> transposed(const std::vector<float>& values, const Extents& extents,
                              const std::array<int, 4>& order) {
  Extents stride{};
  std::int64_t step = 1;
  for (int i = 3; i >= 0; --i) {
    const auto axis = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
    stride[axis] = step;
    step *= extents[axis];
  }
  std::vector<float> result(values.size());
  std::size_t from = 0;
  for (std::int64_t a = 0; a < extents[0]; ++a)
    for (std::int64_t b = 0; b < extents[1]; ++b)
      for (std::int64_t c = 0; c < extents[2]; ++c)
        for (std::int64_t d = 0; d < extents[3]; ++d)
          result[static_cast<std::size_t>(a * stride[0] + b * stride[1] + c * stride[2] +
                                          d * stride[3])] = values[from++];
  return result;
}

/// A tensor of ours (extents in our order) as cuDNN keeps it, and back.
struct Layout {
  std::array<int, 4> order;
  std::vector<float> there(const std::vector<float>& values, const Extents& extents) const {
    return transposed(values, extents, order);
  }
  std::vector<float> back(const std::vector<float>& values, const Extents& extents) const {
    Extents theirs{};
    std::array<int, 4> inverse{};
    for (std::size_t i = 0; i < 4; ++i) {
      theirs[i] = extents[static_cast<std::size_t>(order[i])];
      inverse[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
    }
    return transposed(values, theirs, inverse);
  }
};
// From [N,H,W,C], and from [R,S,C,K].
Layout activations(CudnnLayout layout) {
  return layout == CudnnLayout::kNhwc ? Layout{{0, 1, 2, 3}} : Layout{{0, 3, 1, 2}};
}
Layout filters(CudnnLayout layout) {
  return layout == CudnnLayout::kNhwc ? Layout{{3, 0, 1, 2}} : Layout{{3, 2, 0, 1}};
}
Extents extents_of(const Shape& s) { return {s.n, s.h, s.w, s.c}; }
Extents extents_of(const ConstFilterView& f) { return {f.r, f.s, f.c, f.k}; }

constexpr std::size_t kMostWorkspace = std::size_t{1} << 30;
constexpr int kMostAlgorithms = 16;

class CudnnConvolution final : public PeerConvolution {
 public:
  CudnnConvolution(const Stream& stream, const Conv2dCase& c, Direction direction,
                   CudnnLayout layout)
      : stream_(stream),
        direction_(direction),
        activations_(activations(layout)),
        filters_(filters(layout)),
        shapes_(c),
        w_(filled(extents_of(shapes_.filter), filters_, kFilterSeed)),
        workspace_(stream.device(), static_cast<std::int64_t>(kMostWorkspace / sizeof(float))),
        buffers_(shapes_.bytes(), [this] {
          return Buffers{filled(extents_of(shapes_.x), activations_, kXSeed),
                         filled(extents_of(shapes_.y), activations_, kYSeed)};
        }) {
    const cudnnTensorFormat_t format =
        layout == CudnnLayout::kNhwc ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
    describe(x_.get(), format, shapes_.x);
    describe(y_.get(), format, shapes_.y);
    const ConstFilterView& f = shapes_.filter;
    check(cudnnSetFilter4dDescriptor(f_.get(), CUDNN_DATA_FLOAT, format, f.k, f.c, f.r, f.s),
          "cudnnSetFilter4dDescriptor");
    const Conv2dGeometry& g = shapes_.geometry;
    check(cudnnSetConvolution2dDescriptor(convolution_.get(), g.pad_h, g.pad_w, g.stride_h,
                                          g.stride_w, g.dilation_h, g.dilation_w,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "cudnnSetConvolution2dDescriptor");
    check(cudnnSetConvolutionMathType(convolution_.get(), CUDNN_FMA_MATH),
          "cudnnSetConvolutionMathType");
    check(cudnnSetStream(handle_.get(), static_cast<cudaStream_t>(stream_.native())),
          "cudnnSetStream");
    choose();
  }

  void run() override {
    Buffers& b = buffers_.next();
    const CurrentDevice current(stream_.device());
    constexpr float kOne = 1.0f, kZero = 0.0f;
    cudnnHandle_t handle = handle_.get();
    void* workspace = workspace_.data();
    if (direction_ == Direction::kForward)
      check(cudnnConvolutionForward(handle, &kOne, x_.get(), b.x.data(), f_.get(), w_.data(),
                                    convolution_.get(), forward_, workspace, kMostWorkspace, &kZero,
                                    y_.get(), b.y.data()),
            "cudnnConvolutionForward");
    else if (direction_ == Direction::kData)
      check(cudnnConvolutionBackwardData(handle, &kOne, f_.get(), w_.data(), y_.get(), b.y.data(),
                                         convolution_.get(), data_, workspace, kMostWorkspace,
                                         &kZero, x_.get(), b.x.data()),
            "cudnnConvolutionBackwardData");
    else
      check(cudnnConvolutionBackwardFilter(handle, &kOne, x_.get(), b.x.data(), y_.get(),
                                           b.y.data(), convolution_.get(), weights_, workspace,
                                           kMostWorkspace, &kZero, f_.get(), w_.data()),
            "cudnnConvolutionBackwardFilter");
  }

  std::vector<float> result() override {
    Buffers& b = buffers_.current();
    if (direction_ == Direction::kForward)
      return activations_.back(b.y.to_host(stream_), extents_of(shapes_.y));
    if (direction_ == Direction::kData)
      return activations_.back(b.x.to_host(stream_), extents_of(shapes_.x));
    return filters_.back(w_.to_host(stream_), extents_of(shapes_.filter));
  }

 private:
  struct Buffers {
    DeviceArray<float> x, y;
  };

  /// whole_numbers() in our order, as cuDNN keeps them.
  DeviceArray<float> filled(const Extents& extents, const Layout& layout, unsigned seed) const {
    const std::int64_t count = extents[0] * extents[1] * extents[2] * extents[3];
    const std::vector<float> values = layout.there(whole_numbers(count, seed), extents);
    DeviceArray<float> array(stream_.device(), count);
    array.upload(stream_, values.data(), count);
    stream_.synchronise();
    return array;
  }

  static void describe(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format, const Shape& s) {
    check(cudnnSetTensor4dDescriptor(tensor, format, CUDNN_DATA_FLOAT, s.n, s.c, s.h, s.w),
          "cudnnSetTensor4dDescriptor");
  }

  /// The first in cuDNN's list, which it has timed and sorted. What they wrote is written again.
  template <class Result>
  static auto fastest(const Result (&results)[kMostAlgorithms], int count) {
    const Result* end = results + count;
    const Result* first = std::find_if(results, end, [](const Result& r) {
      return r.status == CUDNN_STATUS_SUCCESS && r.mathType == CUDNN_FMA_MATH;
    });
    if (first == end) throw std::runtime_error("cuDNN has no algorithm for this convolution");
    return first->algo;
  }

  void choose() {
    // Of buffers of its own: trials overwrite what a result is compared with.
    Buffers b{filled(extents_of(shapes_.x), activations_, kXSeed),
              filled(extents_of(shapes_.y), activations_, kYSeed)};
    const DeviceArray<float> w = filled(extents_of(shapes_.filter), filters_, kFilterSeed);
    int count = 0;
    if (direction_ == Direction::kForward) {
      cudnnConvolutionFwdAlgoPerf_t results[kMostAlgorithms];
      check(cudnnFindConvolutionForwardAlgorithmEx(handle_.get(), x_.get(), b.x.data(), f_.get(),
                                                   w.data(), convolution_.get(), y_.get(),
                                                   b.y.data(), kMostAlgorithms, &count, results,
                                                   workspace_.data(), kMostWorkspace),
            "cudnnFindConvolutionForwardAlgorithmEx");
      forward_ = fastest(results, count);
    } else if (direction_ == Direction::kData) {
      cudnnConvolutionBwdDataAlgoPerf_t results[kMostAlgorithms];
      check(cudnnFindConvolutionBackwardDataAlgorithmEx(handle_.get(), f_.get(), w.data(), y_.get(),
                                                        b.y.data(), convolution_.get(), x_.get(),
                                                        b.x.data(), kMostAlgorithms, &count,
                                                        results, workspace_.data(), kMostWorkspace),
            "cudnnFindConvolutionBackwardDataAlgorithmEx");
      data_ = fastest(results, count);
    } else {
      DeviceArray<float> dw = filled(extents_of(shapes_.filter), filters_, kFilterSeed);
      cudnnConvolutionBwdFilterAlgoPerf_t results[kMostAlgorithms];
      check(cudnnFindConvolutionBackwardFilterAlgorithmEx(
                handle_.get(), x_.get(), b.x.data(), y_.get(), b.y.data(), convolution_.get(),
                f_.get(), dw.data(), kMostAlgorithms, &count, results, workspace_.data(),
                kMostWorkspace),
            "cudnnFindConvolutionBackwardFilterAlgorithmEx");
      weights_ = fastest(results, count);
    }
  }

  Stream stream_;
  Direction direction_;
  Layout activations_, filters_;
  ConvolutionShapes shapes_;
  Owned<cudnnHandle_t> handle_ = make(cudnnCreate, cudnnDestroy, "cudnnCreate");
  Owned<cudnnTensorDescriptor_t> x_ = make_tensor(), y_ = make_tensor();
  Owned<cudnnFilterDescriptor_t> f_ = make(
      cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor, "cudnnCreateFilterDescriptor");
  Owned<cudnnConvolutionDescriptor_t> convolution_ =
      make(cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor,
           "cudnnCreateConvolutionDescriptor");
  cudnnConvolutionFwdAlgo_t forward_{};
  cudnnConvolutionBwdDataAlgo_t data_{};
  cudnnConvolutionBwdFilterAlgo_t weights_{};
  DeviceArray<float> w_, workspace_;
  Rotation<Buffers> buffers_;

  static Owned<cudnnTensorDescriptor_t> make_tensor() {
    return make(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor,
                "cudnnCreateTensorDescriptor");
  }
};

}  // namespace

std::unique_ptr<PeerConvolution> make_cudnn_convolution(const Stream& stream, const Conv2dCase& c,
                                                        Direction direction, CudnnLayout layout) {
  const CurrentDevice current(stream.device());  // cuDNN's handles are of the one that is current
  return std::make_unique<CudnnConvolution>(stream, c, direction, layout);
}

std::string cudnn_version() {
  const std::size_t v = cudnnGetVersion();
  const std::size_t major = v >= 90000 ? 10000 : 1000;  // 9.1.0 is 90100, 8.9.7 is 8907
  return std::to_string(v / major) + "." + std::to_string(v % major / 100) + "." +
         std::to_string(v % 100);
}

}  // namespace curvseg::perf
