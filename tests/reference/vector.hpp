// Vector algebra in double precision, as the formulae are written. Knows nothing of the kernels.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace curvseg::reference {

/// A sum, and the sum of the absolute values of its terms.
struct SizedSum {
  double value = 0.0;
  double size = 0.0;
};

inline SizedSum dot(const std::vector<float>& x, const std::vector<float>& y) {
  SizedSum sum;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double term = static_cast<double>(x[i]) * y[i];
    sum.value += term;
    sum.size += std::fabs(term);
  }
  return sum;
}

/// Σ_j factor[j]·x[j], element by element.
inline std::vector<SizedSum> linear_combination(const std::vector<double>& factor,
                                                const std::vector<std::vector<float>>& x) {
  std::vector<SizedSum> result(x.at(0).size());
  for (std::size_t j = 0; j < x.size(); ++j)
    for (std::size_t i = 0; i < result.size(); ++i) {
      const double term = factor[j] * x[j][i];
      result[i].value += term;
      result[i].size += std::fabs(term);
    }
  return result;
}

}  // namespace curvseg::reference
