#include "host/train/plan_cache.hpp"

#include <algorithm>

namespace curvseg {

Plan& PlanCache::get(const Shape& input) {
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&input](const Plan& plan) {
    return plan.input_shape() == input;
  });
  if (found != plans_.end()) {
    plans_.splice(plans_.begin(), plans_, found);
    return plans_.front();
  }
  if (plans_.size() >= capacity_) {
    stream_.synchronise();  // its memory may still be in use
    plans_.pop_back();
  }
  plans_.emplace_front(model_, stream_.device(), input, mode_);
  return plans_.front();
}

std::size_t PlanCache::memory_bytes() const {
  std::size_t result = 0;
  for (const Plan& plan : plans_) result += plan.memory_bytes();
  return result;
}

}  // namespace curvseg
