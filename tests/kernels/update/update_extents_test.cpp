// Updates under every schedule, the means of diagonals on many shapes, on every target.
#include <cmath>
#include <string>

#include "support/random_data.hpp"
#include "support/rounding.hpp"
#include "support/schedules.hpp"
#include "support/targets.hpp"

namespace curvseg::testing {
namespace {

class UpdateExtents : public TargetTest {
 protected:
  using Vector = std::vector<float>;

  std::size_t several_blocks() const { return emulated() ? 40'003 : 100'003; }

  Vector mean_of(const Vector& d, const Vector& h, const MeanWeights& weights, bool square) const {
    const auto device_d = upload(d), device_h = upload(h);
    const auto device_weights = upload(std::vector<MeanWeights>{weights});
    kernels().diagonal_mean(stream(), {.n = static_cast<std::int64_t>(d.size()),
                                       .d = device_d.get(),
                                       .h = device_h.get(),
                                       .weights = device_weights.get(),
                                       .square = square});
    return download(device_h);
  }

  Vector column_means(std::int64_t rows, std::int64_t columns, const Vector& x) const {
    const auto device = upload(x);
    kernels().column_means(stream(), {.rows = rows, .columns = columns, .x = device.get()});
    return download(device);
  }

  Vector power(const Vector& x, float damping, bool in_place) const {
    const auto device_x = upload(x), to = output<float>(x.size());
    const auto device_damping = upload(Vector{damping});
    const DeviceBuffer<float>& result = in_place ? device_x : to;
    kernels().inverse_three_quarter_power(stream(), {.n = static_cast<std::int64_t>(x.size()),
                                                     .x = device_x.get(),
                                                     .damping = device_damping.get(),
                                                     .to = result.get()});
    return download(result);
  }

  struct Direction {
    Vector to, m, v;
  };
  Direction direction(const Vector& grad, const Vector& m, const Vector& v, bool in_place) const {
    const auto device_grad = upload(grad), device_m = upload(m), device_v = upload(v);
    const auto apart = output<float>(grad.size());
    const auto scalars =
        upload(std::vector<UpdateScalars>{{.bias_correction1 = 0.5f, .bias_correction2 = 0.25f}});
    const DeviceBuffer<float>& to = in_place ? device_grad : apart;
    kernels().adam_direction(stream(), {.n = static_cast<std::int64_t>(grad.size()),
                                        .grad = device_grad.get(),
                                        .m = device_m.get(),
                                        .v = device_v.get(),
                                        .to = to.get(),
                                        .scalars = scalars.get(),
                                        .beta1 = 0.5f,
                                        .beta2 = 0.75f,
                                        .epsilon = 0.5f});
    return {download(to), download(device_m), download(device_v)};
  }
};

TEST_P(UpdateExtents, AdamDirectionsByHandInPlaceAndApart) {
  for (const bool in_place : {false, true}) {
    const Direction d = direction({-2.0f, 0.0f}, {0.0f, 0.0f}, {0.0f, 0.0f}, in_place);
    EXPECT_EQ(d.m, (Vector{-1.0f, 0.0f}));
    EXPECT_EQ(d.v, (Vector{1.0f, 0.0f}));
    EXPECT_EQ(d.to, (Vector{-2.0f / 2.5f, 0.0f}));
  }
  for (const std::size_t n : {1, 31, 1000, 20'011}) {
    const Vector grad = uniform_floats(n, 1), m = uniform_floats(n, 2), v(n, 0.25f);
    const Direction apart = direction(grad, m, v, false), in_place = direction(grad, m, v, true);
    EXPECT_TRUE(apart.to == in_place.to && apart.m == in_place.m && apart.v == in_place.v) << n;
  }
}

TEST_P(UpdateExtents, MeansOfDiagonalsAtEverySize) {
  const MeanWeights halves{.keep = 0.5f, .take = 0.5f}, weights{.keep = 0.9f, .take = 0.1f};
  for (const std::size_t n : {1, 3, 16, 31, 64, 1000, 20'011})
    for (const bool square : {false, true}) {
      SCOPED_TRACE(std::to_string(n) + (square ? ", of squares" : ""));
      const auto mean = [&](const MeanWeights& by, float d, float h) {
        return double(by.keep) * h + double(by.take) * (square ? double(d) * d : double(d));
      };
      const Vector whole_d = small_integers(n, 3), whole_h = small_integers(n, 4);
      const Vector d = uniform_floats(n, 5), h = uniform_floats(n, 6);
      std::vector<double> exact, value, bound;
      for (std::size_t i = 0; i < n; ++i) {
        exact.push_back(mean(halves, whole_d[i], whole_h[i]));
        value.push_back(mean(weights, d[i], h[i]));
        bound.push_back(1.5 * kEpsilon * (std::fabs(0.9 * h[i]) + std::fabs(0.1 * d[i])));
      }
      const Vector actual = mean_of(whole_d, whole_h, halves, square);
      EXPECT_EQ(std::vector<double>(actual.begin(), actual.end()), exact);
      expect_within(mean_of(d, h, weights, square), value, bound);
    }
}

TEST_P(UpdateExtents, MeansOfColumnsWithinRounding) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {9, 1}, {3, 31}, {9, 1000}, {25, 577}}) {
    const auto r = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(columns);
    const Vector x = uniform_floats(r * c, 7);
    std::vector<double> mean(r * c), bound(r * c);
    for (std::size_t j = 0; j < c; ++j) {
      double sum = 0.0;
      for (std::size_t i = 0; i < r; ++i) sum += std::fabs(x[i * c + j]);
      for (std::size_t i = 0; i < r; ++i) {
        mean[i * c + j] = sum / rows;
        bound[i * c + j] = (1.0 + std::sqrt(rows)) * kEpsilon * sum / rows;
      }
    }
    expect_within(column_means(rows, columns, x), mean, bound);
  }
}

TEST_P(UpdateExtents, NothingToUpdate) {
  EXPECT_TRUE(direction({}, {}, {}, false).to.empty());
  EXPECT_TRUE(power({}, 1.0f, false).empty());
  EXPECT_TRUE(mean_of({}, {}, {.keep = 0.5f, .take = 0.5f}, true).empty());
  EXPECT_TRUE(column_means(0, 5, {}).empty());
  EXPECT_TRUE(column_means(5, 0, {}).empty());
}

TEST_P(UpdateExtents, EveryScheduleGivesTheSameBits) {
  const std::size_t n = several_blocks();
  const Vector d = uniform_floats(n, 8), h = uniform_floats(n, 9), v(n, 0.25f);
  expect_same_on_every_schedule(GetParam(), [&] {
    Vector all;
    const auto add = [&all](const Vector& part) {
      all.insert(all.end(), part.begin(), part.end());
    };
    for (const bool in_place : {false, true}) {
      const Direction step = direction(d, h, v, in_place);
      add(step.to), add(step.m), add(step.v);
      add(power(v, 0.3f, in_place));
    }
    add(mean_of(d, h, {.keep = 0.9f, .take = 0.1f}, true));
    add(column_means(1, static_cast<std::int64_t>(n), d));
    return all;
  });
}

TEST_P(UpdateExtents, EveryScheduleGivesTheSameBitsOfProjections) {
  const std::size_t n = several_blocks();
  const Vector start = uniform_floats(n, 10), grad = uniform_floats(n, 11);
  const auto scalars = upload(std::vector<UpdateScalars>{{.learning_rate = 0.3f}});
  const auto device_grad = upload(grad);
  for (ProjectedUpdate p : {ProjectedUpdate{}, ProjectedUpdate{.low = -0.25f, .high = 0.5f}})
    expect_same_on_every_schedule(GetParam(), [&] {
      const auto theta = upload(start);
      p.n = static_cast<std::int64_t>(n);
      p.theta = theta.get();
      p.grad = device_grad.get();
      p.scalars = scalars.get();
      kernels().projected_update(stream(), p);
      return download(theta);
    });
}

TEST_P(UpdateExtents, EveryScheduleGivesTheSameBitsOfPreconditioning) {
  const std::size_t n = several_blocks();
  const Vector start = uniform_floats(n, 12), grad = uniform_floats(n, 13), value(n, 0.3f);
  const auto scalars = upload(std::vector<UpdateScalars>{{.learning_rate = 0.3f}});
  const auto weights = upload(std::vector<MeanWeights>{{.keep = 0.9f, .take = 0.1f}});
  const auto device_grad = upload(grad), device_value = upload(value);
  for (const bool given : {false, true})
    expect_same_on_every_schedule(GetParam(), [&] {
      const auto theta = upload(start), v = upload(value);
      kernels().preconditioned_update(stream(), {.n = static_cast<std::int64_t>(n),
                                                 .theta = theta.get(),
                                                 .grad = device_grad.get(),
                                                 .inverse = given ? device_value.get() : nullptr,
                                                 .v = v.get(),
                                                 .value = device_value.get(),
                                                 .weights = weights.get(),
                                                 .scalars = scalars.get()});
      Vector result = download(theta);
      const Vector means = download(v);
      result.insert(result.end(), means.begin(), means.end());
      return result;
    });
}

CURVSEG_INSTANTIATE_TARGETS(UpdateExtents);

}  // namespace
}  // namespace curvseg::testing
