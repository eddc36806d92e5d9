// Device memory and options for the tests of the emulated target.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <string>
#include <vector>

#include "exec/emulated/emulation.hpp"

namespace curvseg {

class EmulatedTest : public ::testing::Test {
 protected:
  void SetUp() override { set_emulation_options({}); }
  void TearDown() override {
    for (const auto& [device, memory] : memory_) runtime_.release(device, memory);
    set_emulation_options({});
    take_launch_records();
  }

  template <class Value>
  Value* allocate(std::size_t count, int device = 0) {
    void* memory = runtime_.allocate(device, count * sizeof(Value));
    memory_.push_back({device, memory});
    return static_cast<Value*>(memory);
  }
  template <class Value>
  Value* upload(const std::vector<Value>& values, int device = 0) {
    Value* memory = allocate<Value>(values.size(), device);
    runtime_.copy(nullptr, memory, values.data(), values.size() * sizeof(Value));
    synchronise();
    return memory;
  }
  template <class Value>
  std::vector<Value> download(const Value* from, std::size_t count) {
    std::vector<Value> values(count);
    runtime_.copy(nullptr, values.data(), from, count * sizeof(Value));
    synchronise();
    return values;
  }
  /// Gives memory back before the end of the test.
  void release(void* memory) {
    std::erase_if(memory_, [&](const auto& entry) { return entry.second == memory; });
    runtime_.release(0, memory);
  }
  void synchronise() { runtime_.synchronise(0, nullptr); }

  const Runtime& runtime_ = emulated_runtime();

 private:
  std::vector<std::pair<int, void*>> memory_;
};

/// The text of the TargetError that `run` throws, empty if it throws none.
template <class Run>
std::string target_error(Run run) {
  try {
    run();
  } catch (const TargetError& error) {
    return error.what();
  }
  return {};
}

inline void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
}

/// `text` names this line of planted_defects.cu, and no longer number that begins like it.
inline void expect_line(const std::string& text, int line) {
  const std::string place = " at tests/kernels/exec/planted_defects.cu:" + std::to_string(line);
  std::size_t at = text.find(place);
  while (at != std::string::npos && at + place.size() < text.size() &&
         std::isdigit(static_cast<unsigned char>(text[at + place.size()])))
    at = text.find(place, at + 1);
  EXPECT_NE(at, std::string::npos) << "no \"" << place << "\" in:\n" << text;
}

}  // namespace curvseg
