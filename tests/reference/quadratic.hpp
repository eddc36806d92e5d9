// Steps from a two-dimensional quadratic model, from the whole history of their numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace curvseg::reference {

/// Mean of values with weights decay^age.
inline double weighted_mean(const std::vector<double>& values, double decay) {
  double sum = 0.0, weights = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double weight = std::pow(decay, static_cast<double>(values.size() - 1 - i));
    sum += weight * values[i];
    weights += weight;
  }
  return sum / weights;
}

/// What is measured in a step.
struct Measured {
  double dgd, dgp, pgp;       // the Gauss-Newton form
  double gd, gp, dd, dp, pp;  // inner products
  double md = 0.0;            // of the mean gradient and d
};

struct Step {
  double alpha = 0.0, mu = 0.0, scale = 1.0, decrease = 0.0;
};

/// The model of all steps so far; every one of them was accepted.
class QuadraticModel {
 public:
  QuadraticModel(double damping, double smoothing, double radius)
      : damping_(damping), smoothing_(smoothing), radius_(radius) {}

  Step step(const Measured& m, bool has_previous) {
    const double length_d = std::sqrt(m.dgd + damping_ * m.dd);
    slopes_d_.push_back(m.gd / length_d);
    const double s_d = weighted_mean(slopes_d_, smoothing_);
    Step result;
    double length_p = 0.0, correlation_now = 0.0;
    if (has_previous) {
      length_p = std::sqrt(m.pgp + damping_ * m.pp);
      correlation_now = std::clamp(-(m.dgp + damping_ * m.dp) / (length_d * length_p), -0.95, 0.95);
      correlations_.push_back(correlation_now);
      slopes_p_.push_back(-m.gp / length_p);
      const double c = weighted_mean(correlations_, smoothing_);
      const double s_p = weighted_mean(slopes_p_, smoothing_);
      // Cramer's rule for [a11 a12; a12 a22] (α, μ) = (b1, b2).
      const double a11 = length_d * length_d, a22 = length_p * length_p;
      const double a12 = c * length_d * length_p;
      const double b1 = s_d * length_d, b2 = s_p * length_p;
      result.mu = std::clamp((a11 * b2 - a12 * b1) / (a11 * a22 - a12 * a12), 0.0, 1.0);
      result.alpha = std::max(0.0, (b1 - a12 * result.mu) / a11);
    } else {
      result.alpha = std::max(0.0, s_d / length_d);
    }
    const double a = result.alpha, u = result.mu;
    const double change = 0.5 * (a * a * m.dgd - 2.0 * a * u * m.dgp + u * u * m.pgp);
    if (change > radius_) result.scale = std::sqrt(radius_ / change);
    const double x = a * result.scale, y = u * result.scale;
    const double a12 = correlation_now * length_d * length_p;
    result.decrease = x * m.gd - y * m.gp - 0.5 * x * x * length_d * length_d -
                      0.5 * y * y * length_p * length_p - x * y * a12;
    return result;
  }

  /// Along d alone, with a curvature smoothed in ratio to m·d; m.dgd counts only if `measures`.
  Step smoothed_step(Measured m, double curvature_smoothing, bool measures) {
    if (measures) ratios_.push_back(m.dgd / m.md);
    m.dgd = m.md * weighted_mean(ratios_, curvature_smoothing);
    return step(m, /*has_previous=*/false);
  }

 private:
  double damping_, smoothing_, radius_;
  std::vector<double> slopes_d_, slopes_p_, correlations_, ratios_;
};

}  // namespace curvseg::reference
