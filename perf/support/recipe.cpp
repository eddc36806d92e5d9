#include "perf/support/recipe.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace curvseg::perf {
namespace {

template <class T>
DeviceArray<T> uploaded(const Stream& stream, const std::vector<T>& values) {
  DeviceArray<T> array(stream.device(), static_cast<std::int64_t>(values.size()));
  array.upload(stream, values.data(), array.size());
  stream.synchronise();
  return array;
}

Set make_set(const Stream& stream, const Recipe& recipe) {
  Set set;
  for (std::size_t i = 0; i < recipe.tensors.size(); ++i) {
    set.tensors.emplace_back(stream.device(), recipe.tensors[i]);
    set.tensors.back().upload(stream, recipe.start(i));
    stream.synchronise();
  }
  set.index = DeviceArray<std::uint16_t>(stream.device(), recipe.index_count);
  set.labels = uploaded(stream, recipe.labels);
  set.scalars = uploaded(stream, recipe.scalars);
  if (recipe.prepare) recipe.prepare(stream, set);
  stream.synchronise();
  return set;
}

std::size_t bytes_of_set(const Recipe& recipe) {
  std::size_t bytes = static_cast<std::size_t>(recipe.index_count) * sizeof(std::uint16_t) +
                      recipe.labels.size() * sizeof(std::int32_t);
  for (const Shape& shape : recipe.tensors)
    bytes += static_cast<std::size_t>(shape.elements()) * sizeof(float);
  return bytes;
}

class RecipeOperation final : public Operation {
 public:
  RecipeOperation(const Stream& stream, std::string name, std::function<Recipe(const Shape&)> make,
                  const Shape& full)
      : stream_(stream), name_(std::move(name)), make_(std::move(make)), full_(full) {}

  void check() override {
    Shape small = full_;
    small.n = std::min(small.n, 2);
    small.h = std::min(small.h, 9);
    small.w = std::min(small.w, small.h == 1 ? 1003 : 12);  // a vector is longer
    const Recipe recipe = make_(small);
    Set set = make_set(stream_, recipe);
    recipe.run(stream_, set);
    const std::vector<double> expected = recipe.expected();
    require_close(name_, set[recipe.result].to_host(stream_), expected,
                  std::vector<double>(expected.size(), recipe.tolerance));
  }
  void prepare() override {
    recipe_ = make_(full_);
    sets_.emplace(bytes_of_set(recipe_), [this] { return make_set(stream_, recipe_); });
  }
  Work work() const override { return {.bytes = recipe_.bytes}; }
  void run() override { recipe_.run(stream_, sets_->next()); }

 private:
  Stream stream_;
  std::string name_;
  std::function<Recipe(const Shape&)> make_;
  Shape full_;
  Recipe recipe_;
  std::optional<Rotation<Set>> sets_;
};

}  // namespace

std::vector<float> Recipe::start(std::size_t i) const {
  return whole_numbers(tensors[i].elements(), static_cast<unsigned>(i + 1));
}

void add_recipe(const std::string& name, std::function<Recipe(const Shape&)> make,
                const Shape& full) {
  add(name, [name, make = std::move(make), full](const Stream& stream) {
    return std::make_unique<RecipeOperation>(stream, name, make, full);
  });
}

}  // namespace curvseg::perf
