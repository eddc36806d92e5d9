// Plans by input shape.
#pragma once

#include <cstddef>
#include <list>
#include <utility>

#include "curvseg/model.hpp"

namespace curvseg {

/// The plans of the shapes used last. Training sees one or two shapes (the last batch of an epoch
/// may be smaller); images of mixed sizes see many, and then the plan that was not used for the
/// longest time gives way.
class PlanCache {
 public:
  PlanCache(Model model, Stream stream, PlanMode mode, std::size_t capacity)
      : model_(std::move(model)), stream_(std::move(stream)), mode_(mode), capacity_(capacity) {}

  /// The plan of `input`; valid until the next call. Waits when another must be freed.
  Plan& get(const Shape& input);
  std::size_t memory_bytes() const;

 private:
  Model model_;
  Stream stream_;
  PlanMode mode_;
  std::size_t capacity_;
  std::list<Plan> plans_;  // the one used last in front
};

}  // namespace curvseg
