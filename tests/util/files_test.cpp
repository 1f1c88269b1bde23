// Files of ours: whole or not at all, never through what somebody else has put in the way.

#include "util/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/remora.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

struct Files : testing::Test {
  const fs::path folder = test::make_folder();
  ~Files() override { fs::remove_all(folder); }
  std::string at(const char* name) const { return folder / name; }
  std::string content(const char* name) const {
    std::ifstream in(at(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
};

TEST_F(Files, AreReplacedAsAWholeForTheirOwnerOnly) {
  std::ofstream(at("kept")) << "old";
  ::chmod(at("kept").c_str(), 0666);
  EXPECT_EQ(replace_file(at("kept"), "new"), "");
  EXPECT_EQ(content("kept"), "new");
  struct stat info{};
  ::stat(at("kept").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(count(), 1U);  // no draft is left
}

TEST_F(Files, ALinkIsReplacedAndItsTargetStaysAsItWas) {
  std::ofstream(at("target")) << "somebody's";
  fs::create_symlink(at("target"), at("symbolic"));
  fs::create_hard_link(at("target"), at("hard"));
  EXPECT_EQ(replace_file(at("symbolic"), "new"), "");
  EXPECT_EQ(replace_file(at("hard"), "new"), "");
  EXPECT_EQ(content("target"), "somebody's");
  EXPECT_EQ(content("symbolic"), "new");
}

/// Drafts were named after the process, so that a link or a pipe could lie in wait for them.
TEST_F(Files, WhatLiesInWaitForADraftIsNotWrittenTo) {
  const std::string pid = std::to_string(::getpid());
  std::ofstream(at("target")) << "somebody's";
  fs::create_symlink(at("target"), at("kept") + "." + pid);
  ASSERT_EQ(::mkfifo((at("made") + "." + pid).c_str(), 0600), 0);
  EXPECT_EQ(replace_file(at("kept"), "new"), "");
  EXPECT_EQ(create_file(at("made"), "new"), "");
  EXPECT_EQ(content("target"), "somebody's");
  EXPECT_EQ(content("made"), "new");
}

TEST_F(Files, OfSeveralThatMakeOneTheFirstWins) {
  EXPECT_EQ(create_file(at("key"), "first"), "");
  EXPECT_EQ(create_file(at("key"), "second"), "");
  EXPECT_EQ(content("key"), "first");
  EXPECT_EQ(count(), 1U);
}

TEST_F(Files, AFailureIsSaidAndLeavesNothingBehind) {
  fs::create_directory(at("folder"));
  EXPECT_NE(replace_file(at("folder"), "x"), "");
  EXPECT_NE(replace_file(at("missing/file"), "x"), "");
  EXPECT_EQ(count(), 1U);
}

TEST_F(Files, OnlyRegularOnesAreReadAndOnlySoFar) {
  std::string text;
  bool missing = false;
  EXPECT_NE(read_file(at("none"), 10, text, missing), "");
  EXPECT_TRUE(missing);
  std::ofstream(at("file")) << "0123456789";
  EXPECT_EQ(read_file(at("file"), 10, text, missing), "");
  EXPECT_FALSE(missing);
  EXPECT_EQ(text, "0123456789");
  EXPECT_NE(read_file(at("file"), 9, text, missing), "");
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_NE(read_file(at("pipe"), 10, text, missing), "");  // returns: nobody writes to it
  EXPECT_NE(read_file(at("."), 10, text, missing), "");
  EXPECT_NE(read_file("/dev/zero", 10, text, missing), "");
}

TEST_F(Files, WhoElseCanReadOrChangeThemIsSaid) {
  std::ofstream(at("key")) << "x";
  const auto with = [&](mode_t mode, Privacy wanted) {
    ::chmod(at("key").c_str(), mode);
    return exposed_file(at("key"), wanted);
  };
  EXPECT_EQ(with(0600, Privacy::owner), "");
  EXPECT_EQ(with(0640, Privacy::group), "");
  EXPECT_NE(with(0640, Privacy::owner).find("chmod 600"), std::string::npos);
  EXPECT_NE(with(0644, Privacy::group).find("read by others (mode 0644)"), std::string::npos);
  EXPECT_NE(with(0620, Privacy::group).find("changed by others"), std::string::npos);
  EXPECT_EQ(exposed_file(at("none"), Privacy::owner), "");
  ::chmod(folder.c_str(), 0700);
  EXPECT_EQ(exposed_folder(folder), "");
  ::chmod(folder.c_str(), 0777);
  EXPECT_NE(exposed_folder(folder).find("chmod 700"), std::string::npos);
  ::chmod(folder.c_str(), 0700);
}

}  // namespace
}  // namespace remora
