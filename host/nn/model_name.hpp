// Names of models with options, "unet(width=32, depth=4)".
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace curvseg {

/// A name and its options, in the order written. \throws InputError if the text is not of this
/// form.
struct ModelName {
  std::string family;
  std::vector<std::pair<std::string, std::string>> options;

  static ModelName parse(std::string_view text);
};

/// Takes options out one by one; done() refuses what is left over.
class ModelOptions {
 public:
  explicit ModelOptions(ModelName name) : name_(std::move(name)) {}

  /// \throws InputError unless the value is a whole number in [low, high].
  int whole_number(const std::string& option, int fallback, int low, int high);
  /// \throws InputError unless the value is true or false.
  bool flag(const std::string& option, bool fallback);
  /// \throws InputError naming an option that was never asked for, and those that were.
  void done() const;

 private:
  const std::string* take(const std::string& option);

  ModelName name_;
  std::vector<std::string> known_;
};

}  // namespace curvseg
