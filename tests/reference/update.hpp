// One step of SGD and of Adam in double precision, as the formula is written. Knows nothing of the
// kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace curvseg::reference {

/// What SGD and Adam have in common.
struct Step {
  double learning_rate = 0.1;
  double max_norm = 0.0;       // 0: do not clip
  double squared_norm = -1.0;  // negative: not given
  double l1 = 0.0, l2 = 0.0, decoupled_l2 = 0.0, proximal_l1 = 0.0;

  double clip() const {
    if (squared_norm < 0.0 || max_norm == 0.0 || squared_norm == 0.0) return 1.0;
    return std::min(1.0, max_norm / std::sqrt(squared_norm));
  }
};

/// A number, and the sum of the absolute values of the terms that made it: float32 may be off by a
/// few epsilons of that.
struct Sized {
  double value = 0.0;
  double size = 0.0;
};

inline Sized regularised_gradient(const Step& step, double theta, double grad) {
  const double sign = theta > 0.0 ? 1.0 : theta < 0.0 ? -1.0 : 0.0;
  return {step.clip() * grad + step.l2 * theta + step.l1 * sign,
          step.clip() * std::fabs(grad) + step.l2 * std::fabs(theta) + step.l1 * std::fabs(sign)};
}

/// θ after a move by −`move`, decoupled decay before it and the soft threshold after it.
inline Sized moved(const Step& step, double theta, const Sized& move) {
  const double keep = 1.0 - step.learning_rate * step.decoupled_l2;
  const double threshold = step.learning_rate * step.proximal_l1;
  const double value = theta * keep - move.value;
  const double shrunk = std::max(std::fabs(value) - threshold, 0.0);
  return {value < 0.0 ? -shrunk : shrunk, 2.0 * std::fabs(theta) + move.size + threshold};
}

struct SgdState {
  Sized theta, momentum;
};

inline SgdState sgd(const Step& step, double momentum, bool nesterov, double theta, double grad,
                    double buffer) {
  const Sized g = regularised_gradient(step, theta, grad);
  const Sized m{momentum * buffer + g.value, momentum * std::fabs(buffer) + g.size};
  Sized direction = m;
  if (nesterov) direction = {g.value + momentum * m.value, g.size + momentum * m.size};
  const double rate = step.learning_rate;
  return {moved(step, theta, {rate * direction.value, rate * direction.size}), m};
}

struct AdamState {
  Sized theta, m, v;
};

/// `t` counts steps from 1.
inline AdamState adam(const Step& step, double beta1, double beta2, double epsilon, int t,
                      double theta, double grad, double m_old, double v_old) {
  const Sized g = regularised_gradient(step, theta, grad);
  const Sized m{beta1 * m_old + (1.0 - beta1) * g.value,
                beta1 * std::fabs(m_old) + (1.0 - beta1) * g.size};
  const Sized v{beta2 * v_old + (1.0 - beta2) * g.value * g.value,
                beta2 * v_old + (1.0 - beta2) * g.size * g.size};
  const double corrected_m = m.value / (1.0 - std::pow(beta1, t));
  const double root = std::sqrt(v.value / (1.0 - std::pow(beta2, t)));
  const double move = step.learning_rate * corrected_m / (root + epsilon);
  // To first order: the error of m, and half the relative error of v.
  double size = std::fabs(move);
  if (m.value != 0.0) size += std::fabs(move / m.value) * m.size;
  if (v.value != 0.0) size += std::fabs(move) * 0.5 * v.size / v.value;
  return {moved(step, theta, {move, size}), m, v};
}

/// θ − f·η·clip·grad·scale, the terms of `step` but clipping 0.
inline Sized descended(const Step& step, double factor, double theta, double grad, double scale) {
  const double move = factor * step.learning_rate * step.clip() * grad * scale;
  return {theta - move, std::fabs(theta) + std::fabs(move)};
}

inline std::vector<Sized> projected_on_box(std::vector<Sized> theta, double low, double high) {
  for (Sized& each : theta) each.value = std::clamp(each.value, low, high);
  return theta;
}

inline std::vector<Sized> projected_on_ball(std::vector<Sized> theta, double radius) {
  double sum = 0.0;
  for (const Sized& each : theta) sum += each.value * each.value;
  const double scale = std::min(1.0, radius / std::sqrt(sum));
  for (Sized& each : theta) each = {scale * each.value, scale * each.size};
  return theta;
}

struct DampedDiagonal {
  double beta1 = 0.9, gamma = 1.0, epsilon = 1e-4, largest = INFINITY, bias_correction1 = 1.0;
  double weight = 1.0;  // of h
  bool root = false;
};

struct DampedDiagonalState {
  Sized theta, m;
};

/// `step` gives the rate, its factor included, clipping and decoupled decay.
inline DampedDiagonalState damped_diagonal(const Step& step, const DampedDiagonal& o, double theta,
                                           double grad, double m_old, double h) {
  const Sized g = regularised_gradient(step, theta, grad);
  const Sized m{o.beta1 * m_old + (1.0 - o.beta1) * g.value,
                o.beta1 * std::fabs(m_old) + (1.0 - o.beta1) * g.size};
  const double curvature = o.weight * h;
  const double scaled = o.gamma * (o.root ? std::sqrt(curvature) : curvature);
  const double denominator = std::max(scaled, o.epsilon) * o.bias_correction1;
  const double bounded = std::clamp(m.value / denominator, -o.largest, o.largest);
  // Bounding makes no error larger.
  const double size = std::min(m.size / denominator, o.largest);
  return {moved(step, theta, {step.learning_rate * bounded, step.learning_rate * size}), m};
}

}  // namespace curvseg::reference
