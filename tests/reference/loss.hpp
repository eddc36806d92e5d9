// Losses in double precision, as the formula is written. Knows nothing of the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace curvseg::reference {

/// Softmax cross-entropy of dense logits [pixels, classes]. Labels outside [0, classes) are
/// ignored.
struct CrossEntropy {
  int classes = 2;
  std::vector<double> weights;  // empty: all 1
  double smoothing = 0.0;

  double weight(int c) const {
    return weights.empty() ? 1.0 : weights[static_cast<std::size_t>(c)];
  }
  bool valid(std::int32_t label) const { return label >= 0 && label < classes; }
};

/// A loss, its gradient, and how far float32 may be from them, in units of its epsilon.
struct Loss {
  double value = 0.0;
  double uncertainty = 0.0;
  std::vector<double> gradient;
  std::vector<double> gradient_uncertainty;
};

/// Σ w_y over pixels that are not ignored: the denominator of the mean.
inline double label_weight(const CrossEntropy& f, const std::vector<std::int32_t>& labels) {
  double sum = 0.0;
  for (const std::int32_t y : labels)
    if (f.valid(y)) sum += f.weight(y);
  return sum;
}

/// Adds one pixel's loss and gradient, both over `denominator`.
inline void add_pixel(const CrossEntropy& f, const double* x, std::int32_t label,
                      double denominator, double* gradient, double* uncertainty, Loss& loss) {
  const double c = f.classes;
  const double peak = *std::max_element(x, x + f.classes);
  double sum = 0.0;
  for (int i = 0; i < f.classes; ++i) sum += std::exp(x[i] - peak);
  std::vector<double> q(static_cast<std::size_t>(f.classes));
  double s = 0.0;
  for (int i = 0; i < f.classes; ++i) {
    double& target = q[static_cast<std::size_t>(i)];
    target = f.smoothing / c * f.weight(i);
    if (i == label) target += (1.0 - f.smoothing) * f.weight(i);
    s += target;
  }
  const double summing = 4.0 + std::sqrt(c);
  for (int i = 0; i < f.classes; ++i) {
    const double target = q[static_cast<std::size_t>(i)];
    const double distance = x[i] - peak;
    const double p = std::exp(distance) / sum;
    if (target != 0.0) {  // 0 · log 0 is 0
      loss.value -= target * (distance - std::log(sum)) / denominator;
      loss.uncertainty += std::fabs(target) * (summing + std::log(sum) - distance) / denominator;
    }
    gradient[i] = (s * p - target) / denominator;
    uncertainty[i] = (std::fabs(s) * p * (summing - distance) + std::fabs(target)) / denominator;
  }
}

inline Loss cross_entropy(const CrossEntropy& f, const std::vector<double>& x,
                          const std::vector<std::int32_t>& labels, double denominator) {
  Loss loss;
  loss.gradient.assign(x.size(), 0.0);
  loss.gradient_uncertainty.assign(x.size(), 0.0);
  if (denominator == 0.0) return loss;
  for (std::size_t p = 0; p < labels.size(); ++p) {
    const std::size_t at = p * static_cast<std::size_t>(f.classes);
    if (f.valid(labels[p]))
      add_pixel(f, &x[at], labels[p], denominator, &loss.gradient[at],
                &loss.gradient_uncertainty[at], loss);
  }
  return loss;
}

/// H·u with the Hessian of cross_entropy() with respect to x, and how far float32 may be from it,
/// in units of its epsilon.
struct Product {
  std::vector<double> value, uncertainty;
};

inline Product cross_entropy_hessian(const CrossEntropy& f, const std::vector<double>& x,
                                     const std::vector<std::int32_t>& labels,
                                     const std::vector<double>& u, double denominator) {
  Product product{std::vector<double>(x.size()), std::vector<double>(x.size())};
  if (denominator == 0.0) return product;
  double all = 0.0;
  for (int c = 0; c < f.classes; ++c) all += f.weight(c);
  for (std::size_t pixel = 0; pixel < labels.size(); ++pixel) {
    if (!f.valid(labels[pixel])) continue;
    const std::size_t at = pixel * static_cast<std::size_t>(f.classes);
    const double peak = *std::max_element(&x[at], &x[at] + f.classes);
    const double s = (1.0 - f.smoothing) * f.weight(labels[pixel]) + f.smoothing / f.classes * all;
    std::vector<double> p;
    double sum = 0.0;
    for (int i = 0; i < f.classes; ++i) {
      p.push_back(std::exp(x[at + static_cast<std::size_t>(i)] - peak));
      sum += p.back();
    }
    // An exponential of x is off by eps·|x − peak|, and so is each part of the mean.
    const double summing = 4.0 + std::sqrt(static_cast<double>(f.classes));
    double mean = 0.0, mean_size = 0.0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      p[i] /= sum;
      mean += p[i] * u[at + i];
      mean_size += p[i] * std::fabs(u[at + i]) * (summing + peak - x[at + i]);
    }
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double size = std::fabs(u[at + i]) + std::fabs(mean);
      product.value[at + i] = s * p[i] * (u[at + i] - mean) / denominator;
      product.uncertainty[at + i] =
          s * p[i] * (size * (summing + peak - x[at + i]) + mean_size) / denominator;
    }
  }
  return product;
}

/// F·u per pixel, F = s·r·rᵀ / denominator with r = softmax(x) − t, t the target of the loss over
/// s or, with `sampled`, one-hot; without u its root, √s·r / denominator.
inline Product cross_entropy_fisher(const CrossEntropy& f, const std::vector<double>& x,
                                    const std::vector<std::int32_t>& labels,
                                    const std::vector<std::int32_t>* sampled,
                                    const std::vector<double>* u, double denominator) {
  Product product{std::vector<double>(x.size()), std::vector<double>(x.size())};
  const auto classes = static_cast<std::size_t>(f.classes);
  for (std::size_t pixel = 0; pixel < labels.size(); ++pixel) {
    if (!f.valid(labels[pixel]) || denominator == 0.0) continue;
    const std::size_t at = pixel * classes;
    std::vector<double> q(classes);
    double s = 0.0;
    for (int c = 0; c < f.classes; ++c) {
      q[static_cast<std::size_t>(c)] =
          f.smoothing / f.classes * f.weight(c) +
          (c == labels[pixel] ? (1.0 - f.smoothing) * f.weight(c) : 0.0);
      s += q[static_cast<std::size_t>(c)];
    }
    if (s == 0.0) continue;
    const double peak = *std::max_element(&x[at], &x[at] + f.classes);
    double sum = 0.0, dot = 0.0, dot_size = 0.0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(x[at + c] - peak);
    const double summing = 6.0 + std::sqrt(static_cast<double>(f.classes));
    std::vector<double> r(classes), size(classes);  // size: how far r may be off, over epsilon
    for (std::size_t c = 0; c < classes; ++c) {
      const double p = std::exp(x[at + c] - peak) / sum;
      const double t =
          sampled ? ((*sampled)[pixel] == static_cast<std::int32_t>(c) ? 1.0 : 0.0) : q[c] / s;
      r[c] = p - t;
      size[c] = p * (summing + peak - x[at + c]) + 4.0 * t;
      if (u) dot += r[c] * (*u)[at + c], dot_size += size[c] * std::fabs((*u)[at + c]) * summing;
    }
    for (std::size_t c = 0; c < classes; ++c) {
      const double scale = (u ? s * dot : std::sqrt(s)) / denominator;
      product.value[at + c] = scale * r[c];
      product.uncertainty[at + c] = std::fabs(scale) * (size[c] + 4.0 * std::fabs(r[c]));
      // Where r cancels to 0 both factors are rounding.
      if (u)
        product.uncertainty[at + c] +=
            s * dot_size * (std::fabs(r[c]) + 1.2e-7 * size[c]) / denominator;
    }
  }
  return product;
}

inline Loss mean_squared_error(const std::vector<double>& x, const std::vector<double>& target,
                               double denominator) {
  Loss loss;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = x[i] - target[i];
    const double size = std::fabs(x[i]) + std::fabs(target[i]);
    const bool empty = denominator == 0.0;
    loss.value += empty ? 0.0 : error * error / denominator;
    loss.uncertainty += empty ? 0.0 : std::fabs(error) * size / denominator;
    loss.gradient.push_back(empty ? 0.0 : 2.0 * error / denominator);
    loss.gradient_uncertainty.push_back(empty ? 0.0 : 2.0 * size / denominator);
  }
  return loss;
}

}  // namespace curvseg::reference
