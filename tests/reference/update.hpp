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

}  // namespace curvseg::reference
