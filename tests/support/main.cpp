// The main program of the tests. Besides GoogleTest's own options:
//
//   curvseg_tests --directory=kernels/pool     only the tests whose source lies in
//   tests/kernels/pool; with --gtest_filter, those of them that it names
//
// The environment variable CURVSEG_TEST_DEVICE names the device that tests of the trainer run on,
// "host" without it. Exit status 77: there is no such device here.
//
// Skipped tests are counted by reason at the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "support/devices.hpp"

namespace {

/// "kernels/pool" for a test in tests/kernels/pool/max_pool_test.cpp.
std::string directory_of(const testing::TestInfo& test) {
  const std::string file = test.file();
  constexpr std::string_view kRoot = "tests/";
  const std::size_t root = file.rfind(std::string("/").append(kRoot));
  const std::size_t first = root == std::string::npos ? file.find(kRoot) : root + 1;
  const std::size_t last = file.rfind('/');
  if (first == std::string::npos || last < first + kRoot.size()) return {};
  return file.substr(first + kRoot.size(), last - first - kRoot.size());
}

/// GoogleTest's filter for those tests of `filter` that are in one directory: it takes all others
/// out. Empty if the directory has none.
std::string filter_for(std::string_view directory, std::string filter) {
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  bool found = false;
  filter.append(filter.find('-') == std::string::npos ? "-" : ":");
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& test = *suite.GetTestInfo(t);
      if (directory_of(test) == directory)
        found = true;
      else
        filter.append(suite.name()).append(".").append(test.name()).append(":");
    }
  }
  return found ? filter : std::string();
}

class SkipSummary : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo& test) override {
    if (!test.result()->Skipped()) return;
    for (int i = 0; i < test.result()->total_part_count(); ++i) {
      const testing::TestPartResult& part = test.result()->GetTestPartResult(i);
      if (part.skipped()) ++tests_by_reason_[part.message()];
    }
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    for (const auto& [reason, tests] : tests_by_reason_)
      std::printf("skipped: %d %s: %s\n", tests, tests == 1 ? "test" : "tests",
                  reason.empty() ? "no reason given" : reason.c_str());
  }
  std::map<std::string, int> tests_by_reason_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  constexpr std::string_view kOption = "--directory=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help") {  // GoogleTest has printed its own
      std::printf("\nOf this program:\n  --directory=FOLDER\n      Only tests in tests/FOLDER.\n");
      return 0;
    }
    if (!argument.starts_with(kOption)) {
      std::fprintf(stderr, "curvseg_tests: unknown argument %s\n", argv[i]);
      return 2;
    }
    const std::string filter = filter_for(argument.substr(kOption.size()), GTEST_FLAG_GET(filter));
    if (filter.empty()) {
      std::fprintf(stderr, "curvseg_tests: there are no tests in tests/%s\n",
                   argv[i] + kOption.size());
      return 2;
    }
    GTEST_FLAG_SET(filter, filter);
  }
  if (const char* device = std::getenv("CURVSEG_TEST_DEVICE");
      device && !curvseg::testing::has_device(device)) {
    std::printf("skipped: there is no device %s here\n", device);
    return 77;
  }
  testing::UnitTest::GetInstance()->listeners().Append(new SkipSummary);
  return RUN_ALL_TESTS();
}
