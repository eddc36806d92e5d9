// The curvature of several batches as one operator: against one large batch, against sums formed on
// the host, and its damping against its formula.
#include "curvseg/curvature_operator.hpp"

#include "curvseg/error.hpp"
#include "curvseg/solvers.hpp"
#include "host/curvature/curvature_case.hpp"

namespace curvseg {
namespace {

using namespace testing;

constexpr CurvatureMatrix kMatrices[] = {CurvatureMatrix::kGaussNewton, CurvatureMatrix::kHessian,
                                         CurvatureMatrix::kEmpiricalFisher,
                                         CurvatureMatrix::kFisher};

/// Five images, as one batch and as batches of two and three.
class Batches {
 public:
  explicit Batches(const std::string& device_name, const LossOptions& loss = {})
      : device_(Device::open(device_name)),
        stream_(device_),
        model_(zoo::make("unet(width=2, depth=1)", 1, 2)),
        loss_(loss),
        data_(real_data(model_, kAll, 3)),
        host_labels_(random_labels(kAll, 4)),
        theta_(device_, model_.parameter_count()),
        x_(device_, kAll),
        labels_(device_, kAll.pixels()),
        scalars_(device_, 2),
        seed_(device_, 1),
        all_(make(kAll)),
        two_(make(kTwo)),
        three_(make(kThree)) {
    theta_.upload(stream_, data_.theta.data(), theta_.size());
    x_.upload(stream_, data_.x);
    std::fill_n(host_labels_.begin(), 20, kIgnoreLabel);  // denominators differ
    labels_.upload(stream_, host_labels_.data(), labels_.size());
    const unsigned long long seed = 7;
    seed_.upload(stream_, &seed, 1);
    stream_.synchronise();
    all_.linearise(theta(), x_, labels_.data());
    linearise_parts();
  }

  void linearise_parts() {
    two_.linearise(theta(), first().x, first().labels);
    three_.linearise(theta(), second().x, second().labels);
  }

  const Device& device() const { return device_; }
  const Stream& stream() const { return stream_; }
  const Model& model() const { return model_; }
  ConstVectorView theta() const { return {theta_.data(), theta_.size()}; }
  BatchLoss& all() { return all_; }
  BatchLoss& two() { return two_; }
  BatchLoss& three() { return three_; }
  const unsigned long long* seed() const { return seed_.data(); }
  BatchLoss make(const Shape& input) const {
    return {stream_, model_, input, loss_, CurvatureKind::kHessian};
  }
  MiniBatch first() const { return {{x_.data(), kTwo}, labels_.data()}; }
  MiniBatch second() const {
    return {{x_.data() + kTwo.elements(), kThree}, labels_.data() + kTwo.pixels()};
  }
  float scalar_of(const float* on_device) const {
    const DeviceArray<float> copy(device_, 1);
    linear_combination(stream_, {{{on_device, 1}}}, {copy.data(), 1});
    return copy.to_host(stream_)[0];
  }
  /// Every label of class 0 becomes 1 and the other way round, on the device.
  void swap_classes() {
    for (std::int32_t& label : host_labels_)
      if (label == 0 || label == 1) label = 1 - label;
    labels_.upload(stream_, host_labels_.data(), labels_.size());
    stream_.synchronise();
  }
  /// The pixels and labels of some images one after the other.
  std::pair<std::vector<float>, Labels> gather(const std::vector<int>& images) const {
    const auto size = static_cast<std::ptrdiff_t>(kAll.pixels() / kAll.n);
    std::pair<std::vector<float>, Labels> result;
    for (const int image : images) {
      result.first.insert(result.first.end(), data_.x.begin() + image * size,
                          data_.x.begin() + (image + 1) * size);
      result.second.insert(result.second.end(), host_labels_.begin() + image * size,
                           host_labels_.begin() + (image + 1) * size);
    }
    return result;
  }
  /// Device scalar 0 or 1.
  const float* scalar(std::int64_t i, float value) {
    std::vector<float> values = scalars_.to_host(stream_);
    values[static_cast<std::size_t>(i)] = value;
    scalars_.upload(stream_, values.data(), 2);
    stream_.synchronise();
    return scalars_.data() + i;
  }

  std::vector<float> direction(unsigned seed) const {
    std::vector<float> v = uniform_floats(data_.theta.size(), seed);
    clear_padding(model_, v);
    return v;
  }
  DeviceArray<float> upload(const std::vector<float>& values) const {
    DeviceArray<float> array(device_, static_cast<std::int64_t>(values.size()));
    array.upload(stream_, values.data(), array.size());
    stream_.synchronise();
    return array;
  }
  std::vector<float> product(CurvatureOperator& curvature, const std::vector<float>& v) const {
    const DeviceArray<float> from = upload(v);
    const DeviceArray<float> to =
        upload(std::vector<float>(v.size(), std::numeric_limits<float>::quiet_NaN()));
    curvature.apply({from.data(), from.size()}, {to.data(), to.size()});
    return to.to_host(stream_);
  }

  static constexpr Shape kAll{5, 6, 5, 1}, kTwo{2, 6, 5, 1}, kThree{3, 6, 5, 1};

 private:
  Device device_;
  Stream stream_;
  Model model_;
  LossOptions loss_;
  NetworkData data_;
  Labels host_labels_;
  DeviceArray<float> theta_;
  Tensor x_;
  DeviceArray<std::int32_t> labels_;
  DeviceArray<float> scalars_;
  DeviceArray<unsigned long long> seed_;
  BatchLoss all_, two_, three_;
};

/// Within the rounding of float32 through a few layers and another order of the sums.
void expect_near(const std::vector<float>& actual, const std::vector<float>& expected) {
  expect_close(actual, to_double(expected));
}

void expect_is_one_large_batch(Batches& c, CurvatureMatrix matrix) {
  SCOPED_TRACE(static_cast<int>(matrix));
  const std::vector<float> v = c.direction(1);
  CurvatureOperator one(c.stream(), {&c.all()}, {.matrix = matrix});
  CurvatureOperator several(c.stream(), {&c.two(), &c.three()}, {.matrix = matrix});
  const std::vector<float> expected = c.product(one, v), actual = c.product(several, v);
  expect_near(actual, expected);
  EXPECT_NE(actual, c.product(one, c.direction(2)));
}

TEST(CurvatureOperator, SeveralBatchesAreOneLargeBatch) {
  for (const LossOptions& loss :
       {LossOptions{}, LossOptions{.class_weights = {0.5f, 3.0f}, .label_smoothing = 0.1f},
        LossOptions{.kind = LossKind::kMeanSquaredError}}) {
    Batches c("host", loss);
    for (const CurvatureMatrix matrix : kMatrices)
      if (matrix != CurvatureMatrix::kFisher)  // which draws other labels: below
        expect_is_one_large_batch(c, matrix);
  }
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    Batches c(name, {.class_weights = {0.5f, 3.0f}});
    expect_is_one_large_batch(c, CurvatureMatrix::kHessian);
  }
}

TEST(CurvatureOperator, IsTheProductOfItsOnlyBatch) {
  Batches c("host");
  const std::vector<float> v = c.direction(1);
  const DeviceArray<float> from = c.upload(v), to = c.upload(v);
  const ConstVectorView direction{from.data(), from.size()};
  const VectorView product{to.data(), to.size()};
  for (const CurvatureMatrix matrix : kMatrices) {
    SCOPED_TRACE(static_cast<int>(matrix));
    switch (matrix) {
      case CurvatureMatrix::kGaussNewton:
        c.all().ggnvp(direction, product);
        break;
      case CurvatureMatrix::kHessian:
        c.all().hvp(direction, product);
        break;
      case CurvatureMatrix::kEmpiricalFisher:
        c.all().empirical_fisher_vp(direction, product);
        break;
      case CurvatureMatrix::kFisher:
        c.all().fisher_vp(direction, {c.seed()}, product);
        break;
    }
    const std::vector<float> expected = to.to_host(c.stream());
    CurvatureOperator curvature(c.stream(), {&c.all()}, {.matrix = matrix, .seed = c.seed()});
    EXPECT_EQ(c.product(curvature, v), expected);
    EXPECT_EQ(curvature.size(), static_cast<std::int64_t>(v.size()));
  }
}

/// Σ_b D_b·M_b·v / Σ_b D_b, of products that each batch gives with its own denominator.
TEST(CurvatureOperator, WeightsSampledBatchesByTheirDenominators) {
  Batches c("host", {.class_weights = {0.5f, 3.0f}});
  const std::vector<float> v = c.direction(1);
  const DeviceArray<float> from = c.upload(v), to = c.upload(v), total = c.upload({0.0f});
  Doubles expected(v.size());
  double denominators = 0.0;
  std::uint64_t stream = 0;
  for (BatchLoss* batch : {&c.two(), &c.three()}) {
    batch->fisher_vp({from.data(), from.size()}, {c.seed(), stream++}, {to.data(), to.size()});
    batch->write_denominator(batch->labels(), 0, false, total.data());
    const double denominator = total.to_host(c.stream())[0];
    const std::vector<float> product = to.to_host(c.stream());
    for (std::size_t i = 0; i < v.size(); ++i) expected[i] += denominator * product[i];
    denominators += denominator;
  }
  for (double& value : expected) value /= denominators;
  CurvatureOperator curvature(c.stream(), {&c.two(), &c.three()},
                              {.matrix = CurvatureMatrix::kFisher, .seed = c.seed()});
  expect_close(c.product(curvature, v), expected);
}

TEST(CurvatureOperator, MiniBatchesNeedOneLossAlone) {
  Batches c("host");
  const std::vector<float> v = c.direction(1);
  // Two batches of the same size: images 0 and 1, then 2 and 3.
  MiniBatch later = c.second();
  later.x.shape = Batches::kTwo;
  BatchLoss other = c.make(Batches::kTwo);
  other.linearise(c.theta(), later.x, later.labels);
  for (const CurvatureMatrix matrix : kMatrices) {
    SCOPED_TRACE(static_cast<int>(matrix));
    const CurvatureOperatorOptions options{.matrix = matrix, .seed = c.seed()};
    CurvatureOperator warm(c.stream(), {&c.two(), &other}, options);
    const std::vector<float> expected = c.product(warm, v);
    BatchLoss loss = c.make(Batches::kTwo);
    CurvatureOperator cold(c.stream(), loss, c.theta(), {c.first(), later}, options);
    EXPECT_EQ(c.product(cold, v), expected);
    EXPECT_EQ(c.product(cold, v), expected) << "again";
    EXPECT_EQ(loss.labels(), later.labels);
  }
}

TEST(CurvatureOperator, TakesTheFirstImages) {
  Batches c("host", {.class_weights = {0.5f, 3.0f}});
  const std::vector<float> v = c.direction(1);
  for (const CurvatureMatrix matrix : kMatrices) {
    SCOPED_TRACE(static_cast<int>(matrix));
    CurvatureOperator part(c.stream(), {&c.all()},
                           {.matrix = matrix, .images = 2, .seed = c.seed()});
    CurvatureOperator alone(c.stream(), {&c.two()}, {.matrix = matrix, .seed = c.seed()});
    expect_near(c.product(part, v), c.product(alone, v));
  }
}

/// Images 0, 3 and 4 of five: a run of one, and neighbours of which a pass takes one at a time or
/// both. Beside them the same images as a batch of their own.
TEST(CurvatureOperator, TakesTheImagesOfAList) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    Batches c(name, {.class_weights = {0.5f, 3.0f}});
    const std::vector<int> list = {0, 3, 4};
    const ConstTensorView x = c.all().x();
    const std::int32_t* labels = c.all().labels();
    Tensor chosen(c.device(), Batches::kThree);
    DeviceArray<std::int32_t> chosen_labels(c.device(), Batches::kThree.pixels());
    const auto [pixels, classes] = c.gather(list);
    chosen.upload(c.stream(), pixels);
    chosen_labels.upload(c.stream(), classes.data(), chosen_labels.size());
    c.stream().synchronise();
    c.three().linearise(c.theta(), chosen, chosen_labels.data());
    const std::vector<float> v = c.direction(1);
    for (const int at_once : {1, 3}) {
      SCOPED_TRACE(at_once);
      BatchLoss all(c.stream(), c.model(), Batches::kAll, c.all().loss_options(),
                    CurvatureKind::kHessian, at_once);
      all.linearise(c.theta(), x, labels);
      for (const CurvatureMatrix matrix : kMatrices) {
        if (matrix == CurvatureMatrix::kFisher) continue;  // labels are drawn by pixel of the batch
        SCOPED_TRACE(static_cast<int>(matrix));
        CurvatureOperator part(c.stream(), {&all}, {.matrix = matrix, .images = list});
        CurvatureOperator alone(c.stream(), {&c.three()}, {.matrix = matrix});
        expect_near(c.product(part, v), c.product(alone, v));
        EXPECT_EQ(c.scalar_of(part.denominator()), c.scalar_of(alone.denominator()));
      }
    }
  }
}

/// Those of several batches, by either way to the Hessian; and Fisher products, whose labels are
/// drawn by pixel of the batch, by what is left of the whole: D·F = D₁·F₁ + D₂·F₂.
TEST(CurvatureOperator, TakesListsOfSeveralBatches) {
  Batches c("host", {.class_weights = {0.5f, 3.0f}});
  const std::vector<int> last = {1}, front = {0, 1, 2}, back = {3, 4};
  const std::vector<float> v = c.direction(1);
  const auto hessian = [&](BatchLoss& two, BatchLoss& three) {
    CurvatureOperator curvature(c.stream(), {&two, &three},
                                {.matrix = CurvatureMatrix::kHessian, .images = last});
    return c.product(curvature, v);
  };
  const std::vector<float> kept = hessian(c.two(), c.three());
  const auto low_memory = [&](const Shape& input, const MiniBatch& batch) {
    BatchLoss loss(c.stream(), c.model(), input, c.all().loss_options(),
                   CurvatureKind::kLowMemoryHessian);
    loss.linearise(c.theta(), batch.x, batch.labels);
    return loss;
  };
  BatchLoss two = low_memory(Batches::kTwo, c.first()),
            three = low_memory(Batches::kThree, c.second());
  expect_near(kept, hessian(two, three));
  // Images 1 and 3 of all.
  const std::vector<int> same = {1, 3};
  CurvatureOperator alone(c.stream(), {&c.all()},
                          {.matrix = CurvatureMatrix::kHessian, .images = same});
  expect_near(kept, c.product(alone, v));

  const auto sum = [&](const ImageSubset& images) {
    CurvatureOperator curvature(
        c.stream(), {&c.all()},
        {.matrix = CurvatureMatrix::kFisher, .images = images, .seed = c.seed()});
    Doubles product = to_double(c.product(curvature, v));
    for (double& value : product) value *= double{c.scalar_of(curvature.denominator())};
    return product;
  };
  const Doubles whole = sum({}), of_front = sum(front);
  Doubles of_back = sum(back);
  for (std::size_t i = 0; i < whole.size(); ++i) of_back[i] += of_front[i];
  expect_near({of_back.begin(), of_back.end()}, {whole.begin(), whole.end()});
}

/// Labels that change behind the back of the batches, which the loss's Hessian does not depend on,
/// change nothing before linearise(): products read the gradients of the first of them.
TEST(CurvatureOperator, BatchesKeepTheirGradients) {
  for (const std::string& name : cheap_devices()) {
    SCOPED_TRACE(name);
    Batches c(name);
    CurvatureOperator curvature(c.stream(), {&c.two(), &c.three()},
                                {.matrix = CurvatureMatrix::kHessian});
    const std::vector<float> v = c.direction(1), before = c.product(curvature, v);
    c.swap_classes();
    EXPECT_EQ(c.product(curvature, v), before);
    c.linearise_parts();
    EXPECT_NE(c.product(curvature, v), before);
  }
}

/// Each list against itself in a fresh loss: what was kept of other images is not used.
TEST(CurvatureOperator, ListsDoNotDisturbEachOther) {
  Batches c("host");
  const std::vector<int> first = {0, 1}, apart = {1, 4}, whole = {0, 1, 2, 3, 4};
  const std::vector<float> v = c.direction(1);
  const auto product = [&](BatchLoss& loss, const ImageSubset& images) {
    CurvatureOperator curvature(c.stream(), {&loss},
                                {.matrix = CurvatureMatrix::kHessian, .images = images});
    return c.product(curvature, v);
  };
  const auto fresh = [&](const ImageSubset& images) {
    BatchLoss loss = c.make(Batches::kAll);
    loss.linearise(c.theta(), c.all().x(), c.all().labels());
    return product(loss, images);
  };
  for (const ImageSubset& images :
       {ImageSubset(first), ImageSubset(apart), ImageSubset(2), ImageSubset(whole), ImageSubset(),
        ImageSubset(5), ImageSubset(apart), ImageSubset(first)})
    EXPECT_EQ(product(c.all(), images), fresh(images));
  EXPECT_EQ(fresh(first), fresh(2));
  EXPECT_EQ(fresh(whole), fresh({}));
  EXPECT_NE(fresh(first), fresh(apart));
}

TEST(CurvatureOperator, AddsDampingAndTheL2Term) {
  Batches c("host");
  const std::vector<float> v = c.direction(1);
  std::vector<float> diagonal = c.direction(2);
  for (float& value : diagonal) value = std::fabs(value);
  const DeviceArray<float> d = c.upload(diagonal);
  CurvatureOperator plain(c.stream(), {&c.all()});
  const std::vector<float> gv = c.product(plain, v);
  const float* lambda = c.scalar(0, 0.5f);
  const auto expect_adds = [&](const CurvatureOperatorOptions& options, auto factor) {
    CurvatureOperator damped(c.stream(), {&c.all()}, options);
    const std::vector<float> actual = c.product(damped, v);
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double added = factor(i) * double(v[i]);
      ASSERT_TRUE(std::fabs(actual[i] - (gv[i] + added)) <=
                  3e-7 * (std::fabs(gv[i]) + std::fabs(added)))
          << i;
    }
  };
  const ConstVectorView damping{d.data(), d.size()};
  expect_adds({.lambda = lambda}, [](std::size_t) { return 0.5; });
  expect_adds({.l2 = 0.25f}, [](std::size_t) { return 0.25; });
  expect_adds({.lambda = lambda, .damping = damping, .l2 = 0.25f},
              [&](std::size_t i) { return 0.5 * diagonal[i] + 0.25; });
  CurvatureOperator damped(c.stream(), {&c.all()}, {.lambda = lambda, .damping = damping});
  c.product(damped, v);
  c.scalar(0, 4.0f);  // read at every product
  const std::vector<float> more = c.product(damped, v);
  for (std::size_t i = 0; i < v.size(); ++i)
    ASSERT_NEAR(more[i], gv[i] + 4.0 * diagonal[i] * v[i], 1e-5) << i;
}

TEST(CurvatureOperator, SeveralDirectionsAreAsOneByOne) {
  Batches c("host");
  const std::vector<float> v[] = {c.direction(1), c.direction(2), c.direction(3)};
  BatchLoss loss = c.make(Batches::kTwo);
  MiniBatch later = c.second();
  later.x.shape = Batches::kTwo;
  const CurvatureOperatorOptions options{.matrix = CurvatureMatrix::kHessian,
                                         .lambda = c.scalar(0, 0.5f)};
  CurvatureOperator warm(c.stream(), {&c.two(), &c.three()}, options);
  CurvatureOperator cold(c.stream(), loss, c.theta(), {c.first(), later}, options);
  for (CurvatureOperator* curvature : {&warm, &cold}) {
    std::vector<DeviceArray<float>> from, to;
    std::vector<ConstVectorView> directions;
    std::vector<VectorView> products;
    for (const std::vector<float>& direction : v) {
      from.push_back(c.upload(direction));
      to.push_back(c.upload(direction));
      directions.push_back({from.back().data(), from.back().size()});
      products.push_back({to.back().data(), to.back().size()});
    }
    curvature->apply(directions, products);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_EQ(to[i].to_host(c.stream()), c.product(*curvature, v[i])) << i;
  }
}

TEST(CurvatureOperator, SolversTakeIt) {
  Batches c("host");
  const DeviceArray<float> b = c.upload(c.direction(5)), x = c.upload(c.direction(6));
  CurvatureOperator curvature(c.stream(), {&c.two(), &c.three()}, {.lambda = c.scalar(0, 0.1f)});
  ConjugateGradients solver(c.stream(), b.size());
  solver.solve(curvature, {.b = {b.data(), b.size()}, .residual_tolerance = 1e-5},
               {x.data(), x.size()});
  const std::vector<float> rhs = b.to_host(c.stream());
  const std::vector<float> product = c.product(curvature, x.to_host(c.stream()));
  double residual = 0.0, size = 0.0;
  for (std::size_t i = 0; i < rhs.size(); ++i) {
    residual += std::pow(double(product[i]) - rhs[i], 2);
    size += double(rhs[i]) * rhs[i];
  }
  EXPECT_LT(std::sqrt(residual), 1e-3 * std::sqrt(size));
}

TEST(CurvatureOperator, IsZeroWithoutLabels) {
  Batches c("host");
  DeviceArray<std::int32_t> none(c.device(), Batches::kTwo.pixels());
  const Labels ignored(60, kIgnoreLabel);
  none.upload(c.stream(), ignored.data(), none.size());
  BatchLoss loss = c.make(Batches::kTwo);
  loss.linearise(c.theta(), c.first().x, none.data());
  for (const CurvatureMatrix matrix : kMatrices) {
    CurvatureOperator curvature(c.stream(), {&loss}, {.matrix = matrix, .seed = c.seed()});
    const std::vector<float> product = c.product(curvature, c.direction(1));
    EXPECT_EQ(product, std::vector<float>(product.size(), 0.0f));
    EXPECT_EQ(*curvature.denominator(), 0.0f);
  }
  // And what has no label does not count beside what has.
  CurvatureOperator both(c.stream(), {&loss, &c.three()}), alone(c.stream(), {&c.three()});
  const std::vector<float> v = c.direction(1);
  EXPECT_EQ(c.product(both, v), c.product(alone, v));
}

TEST(CurvatureOperator, RefusesWhatItCannotDo) {
  Batches c("host");
  const Stream& stream = c.stream();
  using Losses = std::vector<BatchLoss*>;
  EXPECT_THROW(CurvatureOperator(stream, Losses{}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, Losses{nullptr}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, {&c.two()}, {.images = 3}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, {&c.two()}, {.images = -1}), std::invalid_argument);
  for (const std::vector<int>& list : {std::vector<int>{}, {2}, {-1}, {1, 0}, {0, 0}, {0, 1, 2}})
    EXPECT_THROW(CurvatureOperator(stream, {&c.two()}, {.images = list}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, {&c.two()}, {.damping = {c.theta().data, 5}}),
               std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, {&c.two()}, {.matrix = CurvatureMatrix::kFisher}),
               std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, c.two(), c.theta(), {}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, c.two(), c.theta(), {c.second()}), std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, c.two(), {c.theta().data, 5}, {c.first()}),
               std::invalid_argument);
  EXPECT_THROW(CurvatureOperator(stream, c.two(), c.theta(), {{c.first().x, nullptr}}),
               std::invalid_argument);
  BatchLoss gauss_newton(stream, c.model(), Batches::kTwo);
  EXPECT_THROW(CurvatureOperator(stream, {&gauss_newton}, {.matrix = CurvatureMatrix::kHessian}),
               std::logic_error);
  BatchLoss other(stream, zoo::make("unet(width=3, depth=1)", 1, 2), Batches::kTwo);
  EXPECT_THROW(CurvatureOperator(stream, {&c.two(), &other}), std::invalid_argument);

  CurvatureOperator fresh(stream, {&gauss_newton});
  DeviceArray<float> product(c.device(), c.theta().size);
  const VectorView to{product.data(), product.size()};
  EXPECT_THROW(fresh.apply(c.theta(), to), std::logic_error) << "it is not linearised";
  CurvatureOperator curvature(stream, {&c.two()});
  EXPECT_THROW(curvature.apply({c.theta().data, 5}, to), std::invalid_argument);
  EXPECT_THROW(curvature.apply(c.theta(), {to.data, 5}), std::invalid_argument);
  const ConstVectorView v[] = {c.theta(), c.theta()};
  EXPECT_THROW(curvature.apply(v, {&to, 1}), std::invalid_argument);
}

}  // namespace
}  // namespace curvseg
