// The file of the log: one owner, whole records or none, replaced as a whole.

#include "session/log_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace remora {
namespace {

namespace fs = std::filesystem;

class SessionLogFile : public ::testing::Test {
 protected:
  SessionLogFile() {
    std::string name = (fs::temp_directory_path() / "remora-log-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~SessionLogFile() override { fs::remove_all(folder); }
  std::string content() const {
    std::ifstream in(folder + "/sessions.log", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static LogFile::Lock lock(LogFile& file) {
    std::string problem;
    const LogFile::Lock got = file.lock(problem);
    EXPECT_EQ(problem.empty(), got != LogFile::Lock::failed) << problem;
    return got;
  }
  std::string folder;
};

/// Nobody can write a file beyond this size while it lives.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(SessionLogFile, HasOneOwnerAtATime) {
  LogFile first(folder), second(folder);
  EXPECT_EQ(lock(first), LogFile::Lock::taken);
  EXPECT_EQ(lock(second), LogFile::Lock::in_use);
  first.unlock();
  EXPECT_EQ(lock(second), LogFile::Lock::taken);
}

TEST_F(SessionLogFile, StaysOwnedWhenTheLogIsReplaced) {
  LogFile first(folder), second(folder);
  ASSERT_EQ(lock(first), LogFile::Lock::taken);
  ASSERT_EQ(first.open(), "");
  ASSERT_EQ(first.replace([](const LogFile::Append& append) { append("new"); }), "");
  EXPECT_EQ(lock(second), LogFile::Lock::in_use);
}

TEST_F(SessionLogFile, IsMadeWithItsFolderAndForItsOwnerAlone) {
  LogFile file(folder + "/state");
  ASSERT_EQ(lock(file), LogFile::Lock::taken);
  ASSERT_EQ(file.open(), "");
  EXPECT_EQ(fs::status(folder + "/state").permissions(), fs::perms::owner_all);
  const auto owner = fs::perms::owner_read | fs::perms::owner_write;
  EXPECT_EQ(fs::status(file.path()).permissions(), owner);
  ASSERT_EQ(file.replace([](const LogFile::Append& append) { append("new"); }), "");
  EXPECT_EQ(fs::status(file.path()).permissions(), owner);
}

TEST_F(SessionLogFile, AFolderThatCannotBeMadeIsSaid) {
  std::ofstream(folder + "/file") << "";
  LogFile file(folder + "/file/state");
  std::string problem;
  EXPECT_EQ(file.lock(problem), LogFile::Lock::failed);
  EXPECT_NE(problem.find(folder + "/file/state"), std::string::npos) << problem;
}

TEST_F(SessionLogFile, APipeOrALinkInItsPlaceIsRefused) {
  LogFile file(folder);
  ASSERT_EQ(lock(file), LogFile::Lock::taken);
  ASSERT_EQ(::mkfifo(file.path().c_str(), 0600), 0);
  EXPECT_NE(file.open(), "");
  fs::remove(file.path());
  std::ofstream(folder + "/victim") << "precious";
  fs::create_symlink(folder + "/victim", file.path());
  EXPECT_NE(file.open(), "");
}

TEST_F(SessionLogFile, WhatDoesNotFitOnTheDiskLeavesNothing) {
  LogFile file(folder);
  ASSERT_EQ(lock(file), LogFile::Lock::taken);
  ASSERT_EQ(file.open(), "");
  ASSERT_EQ(file.append("0123456789"), "");
  {
    const FullDisk full(15);
    EXPECT_NE(file.append("abcdefghij"), "");
    EXPECT_EQ(content(), "0123456789");
    EXPECT_NE(file.replace([](const LogFile::Append& append) {
      EXPECT_TRUE(append("0123"));
      EXPECT_FALSE(append(std::string(100, 'x')));
      EXPECT_FALSE(append("more"));
    }),
              "");
    EXPECT_EQ(content(), "0123456789");
    EXPECT_FALSE(fs::exists(file.path() + ".new"));
  }
  EXPECT_EQ(file.append("abc"), "");
  EXPECT_EQ(content(), "0123456789abc");
  EXPECT_EQ(file.size(), 13U);
}

TEST_F(SessionLogFile, IsReplacedAsAWholeAndAppendedToFromThenOn) {
  std::ofstream(folder + "/sessions.log.new") << "of a process that was killed";
  LogFile file(folder);
  ASSERT_EQ(lock(file), LogFile::Lock::taken);
  ASSERT_EQ(file.open(), "");
  ASSERT_EQ(file.append("old"), "");
  ASSERT_EQ(file.replace([&](const LogFile::Append& append) {
    EXPECT_TRUE(append("new "));
    EXPECT_EQ(content(), "old");
  }),
            "");
  ASSERT_EQ(file.append("and more"), "");
  EXPECT_EQ(content(), "new and more");
}

TEST_F(SessionLogFile, IsReadInPiecesAndCut) {
  std::string text;
  while (text.size() < 3'000'000) text += "0123456789";
  std::ofstream(folder + "/sessions.log") << text << "rest";
  LogFile file(folder);
  ASSERT_EQ(lock(file), LogFile::Lock::taken);
  ASSERT_EQ(file.open(), "");
  std::size_t records = 0;
  ASSERT_EQ(file.read([&](std::string_view& rest) {
    for (; rest.size() >= 10; rest.remove_prefix(10)) records += rest.starts_with("0123456789") ? 1 : 0;
    return true;
  }),
            "");
  EXPECT_EQ(records, text.size() / 10);
  EXPECT_EQ(file.cut(20), "");
  EXPECT_EQ(file.append("x"), "");
  EXPECT_EQ(content(), "01234567890123456789x");
}

}  // namespace
}  // namespace remora
