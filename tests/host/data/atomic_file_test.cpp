#include "host/io/atomic_file.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixtures.hpp"

namespace curvseg {
namespace {

using test::TempDir;

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

std::size_t files_in(const std::filesystem::path& folder) {
  const auto range = std::filesystem::directory_iterator(folder);
  return static_cast<std::size_t>(std::distance(begin(range), end(range)));
}

TEST(AtomicFile, TargetAppearsAtCommitAndNotBefore) {
  const TempDir dir;
  {
    AtomicFile file(dir / "a.bin");
    file.write(std::as_bytes(std::span("one ", 4)));
    file.write(std::as_bytes(std::span("two", 3)));
    EXPECT_FALSE(std::filesystem::exists(dir / "a.bin"));
    file.commit();
    EXPECT_EQ(text_of(dir / "a.bin"), "one two");
    EXPECT_THROW(file.commit(), Error);
    EXPECT_THROW(file.write({}), Error);
  }
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(AtomicFile, WithoutCommitTheOldFileStaysAndNothingIsLeft) {
  const TempDir dir;
  write_file_atomically(dir / "a.bin", "old");
  {
    AtomicFile file(dir / "a.bin");
    file.write(std::as_bytes(std::span("new", 3)));
  }
  EXPECT_EQ(text_of(dir / "a.bin"), "old");
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(AtomicFile, ReplacesAndKeepsWritersApart) {
  const TempDir dir;
  AtomicFile first(dir / "a.bin");
  AtomicFile second(dir / "a.bin");
  first.write(std::as_bytes(std::span("first", 5)));
  second.write(std::as_bytes(std::span("2nd", 3)));
  second.commit();
  EXPECT_EQ(text_of(dir / "a.bin"), "2nd");
  first.commit();
  EXPECT_EQ(text_of(dir / "a.bin"), "first");
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(AtomicFile, MissingFolderIsAnInputError) {
  const TempDir dir;
  test::expect_mentions(test::input_error([&] { write_file_atomically(dir / "none/a.bin", "x"); }),
                        "none/a.bin");
}

TEST(AtomicFile, TargetThatIsAFolderIsAnErrorAndLeavesNothing) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "a/b");
  EXPECT_THROW(write_file_atomically(dir / "a", "x"), Error);
  EXPECT_EQ(files_in(dir.path()), 1U);
}

/// A process that writes to @p target and dies before it is done; its number.
pid_t killed_writer(const std::filesystem::path& target) {
  const pid_t process = fork();
  if (process == 0) {
    AtomicFile file(target);
    file.write(std::as_bytes(std::span("half", 4)));
    _exit(1);  // without destructors, as a signal does
  }
  waitpid(process, nullptr, 0);
  return process;
}

TEST(AtomicFile, WhatDeadProcessesLeftIsRemoved) {
  const TempDir dir;
  const std::string writer = std::to_string(killed_writer(dir / "a.bin"));
  ASSERT_EQ(files_in(dir.path()), 1U) << "the test's own premise";
  // No names of such files, and the file of a process that lives: this one.
  const std::vector<std::string> others = {".notes.tmp." + writer, ".notes.tmp." + writer + ".old",
                                           ".notes.tmp.x.1", ".tmp..", "a.tmp." + writer + ".0"};
  for (const std::string& name : others) test::write_bytes(dir / name, {1});
  AtomicFile under_way(dir / "a.bin");
  ASSERT_EQ(files_in(dir.path()), 7U);
  remove_unfinished_files(dir.path());
  EXPECT_EQ(files_in(dir.path()), 6U);
  under_way.commit();
  EXPECT_TRUE(std::filesystem::exists(dir / "a.bin"));
  remove_unfinished_files(dir / "nowhere");
}

}  // namespace
}  // namespace curvseg
