// Which instance a command is for: searxng/searxng #4906, PowerDNS-Admin #867, tchiotludo/akhq #1288 (a
// health check that asks another address than the daemon's).

#include "cli/find_daemon.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace remora {
namespace {

namespace fs = std::filesystem;

TEST(CommandLine, NamesTheFileOfARun) {
  const auto file = [](const std::vector<std::string>& words) {
    return file_of_command_line(words, "/srv").string();
  };
  EXPECT_EQ(file({"remora", "run", "-c", "/etc/remora/remora.yaml"}), "/etc/remora/remora.yaml");
  EXPECT_EQ(file({"/usr/bin/remora", "run", "--config", "x.yaml"}), "/srv/x.yaml");
  EXPECT_EQ(file({"remora", "run", "--config=/x.yaml"}), "/x.yaml");
  EXPECT_EQ(file({"remora", "run", "-c/x.yaml"}), "/x.yaml");
  EXPECT_EQ(file({"remora", "check", "-c", "/x.yaml"}), "");
  EXPECT_EQ(file({"remora", "healthcheck"}), "");
  EXPECT_EQ(file({"vi", "run", "-c", "/x.yaml"}), "");
  EXPECT_EQ(file({"remora", "run", "-c"}), "");
  EXPECT_EQ(file({}), "");
}

/// A /proc with these processes.
class Proc {
 public:
  Proc() {
    char name[] = "/tmp/remora-proc-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directories(root_ / "self/ns");
    fs::create_symlink("net:[1]", root_ / "self/ns/net");
    fs::create_directories(root_ / "sys");
  }
  ~Proc() { fs::remove_all(root_); }
  void add(int pid, const std::string& file, const std::string& network = "net:[1]") {
    const fs::path at = root_ / std::to_string(pid);
    fs::create_directories(at / "ns");
    std::ofstream(at / "cmdline") << "/usr/bin/remora" << '\0' << "run" << '\0' << "-c" << '\0' << file
                                  << '\0';
    fs::create_symlink("/work", at / "cwd");
    if (!network.empty()) fs::create_symlink(network, at / "ns/net");
  }
  const fs::path& root() const { return root_; }
  std::string found(const Caller& caller = {}) const {
    std::string all;
    for (const auto& file : running_files(root_, caller)) all += file.path.string() + " ";
    return all;
  }

 private:
  fs::path root_;
};

TEST(Running, EachFileOnceInThisNetworkNamespace) {
  Proc proc;
  EXPECT_EQ(proc.found(), "");
  proc.add(300, "b.yaml");
  proc.add(20, "/a.yaml");
  proc.add(301, "/work/b.yaml");                // the process that takes over from 300
  proc.add(302, "/elsewhere.yaml", "net:[2]");  // another container's
  proc.add(303, "/foreign.yaml", "");           // another user's: its namespace cannot be read
  EXPECT_EQ(proc.found(), "/a.yaml /work/b.yaml ");
}

TEST(Running, TheFirstProcessOfAContainerIsMeant) {
  Proc proc;
  proc.add(1, "/etc/remora/remora.yaml");
  proc.add(50, "/tmp/try.yaml");
  EXPECT_EQ(proc.found(), "/etc/remora/remora.yaml ");
}

// Any user can run a program under the name of remora, with a file that leads an administrator's token to
// them.
TEST(Running, ProcessesOfOtherUsersAreNotBelieved) {
  Proc proc;
  proc.add(20, "/a.yaml");
  EXPECT_EQ(proc.found(), "/a.yaml ");
  Caller other;
  if (::geteuid() == 0) {  // everybody believes root's processes
    ASSERT_EQ(::chown((proc.root() / "20").c_str(), 4242, 4242), 0);
  } else {
    ++other.uid;
  }
  EXPECT_EQ(proc.found(other), "");
  EXPECT_EQ(proc.found({4242, 4242}), ::geteuid() == 0 ? "/a.yaml " : "");
}

TEST(Running, AFileThatOthersMayWriteIsSeenButNotBelieved) {
  Proc proc;
  const fs::path file = proc.root() / "x.yaml";
  std::ofstream(file) << "admin: 127.0.0.1:1\n";
  proc.add(20, file);
  const auto trusted = [&] {
    const auto found = running_files(proc.root());
    return found.size() == 1 && found.front().trusted;
  };
  ::chmod(file.c_str(), 0644);
  EXPECT_TRUE(trusted());
  ::chmod(file.c_str(), 0666);
  EXPECT_FALSE(trusted());
}

TEST(Running, AFileIsBelievedOfRootAndOfTheCaller) {
  const Caller ann{1000, 1000}, root{0, 0};
  const auto file = [](uid_t owner, gid_t group, mode_t mode) {
    struct stat out{};
    out.st_uid = owner, out.st_gid = group, out.st_mode = S_IFREG | mode;
    return out;
  };
  EXPECT_TRUE(is_trusted_file(file(0, 0, 0644), ann));
  EXPECT_TRUE(is_trusted_file(file(0, 50, 0640), ann));
  EXPECT_TRUE(is_trusted_file(file(1000, 1000, 0664), ann));  // a group of her own (umask 002)
  EXPECT_FALSE(is_trusted_file(file(1000, 50, 0664), ann));
  EXPECT_FALSE(is_trusted_file(file(1000, 1000, 0646), ann));
  EXPECT_FALSE(is_trusted_file(file(1001, 1000, 0644), ann));
  EXPECT_FALSE(is_trusted_file(file(1000, 1000, 0644), root));
  EXPECT_FALSE(is_trusted_file(file(0, 0, 0666), root));
}

TEST(Token, ThatTheCallerGivesGoesOnlyToAnAddressThatTheCallerGives) {
  EXPECT_EQ(choose_token({"flag", "variable", "file", true}), "flag");
  EXPECT_EQ(choose_token({"", "variable", "file", true}), "variable");
  EXPECT_EQ(choose_token({"", "", "file", true}), "file");
  EXPECT_EQ(choose_token({"", "", "", false}), "");
  EXPECT_EQ(choose_token({"", "", "file", false}), "file");
  EXPECT_EQ(choose_token({"", "variable", "file", false}), "file");  // the file that is believed says it
  EXPECT_THROW(choose_token({"", "variable", "", false}), std::runtime_error);
  EXPECT_THROW(choose_token({"flag", "", "", false}), std::runtime_error);
  EXPECT_THROW(choose_token({"flag", "", "file", false}), std::runtime_error);
}

TEST(Addresses, OfTheEnvironmentAreSeparatedByCommasOrBlanks) {
  EXPECT_EQ(split_addresses("127.0.0.1:9900"), (std::vector<std::string>{"127.0.0.1:9900"}));
  EXPECT_EQ(split_addresses(" a:1, b:2\tunix:/c "), (std::vector<std::string>{"a:1", "b:2", "unix:/c"}));
  EXPECT_TRUE(split_addresses(" , ").empty());
  EXPECT_TRUE(split_addresses("").empty());
}

}  // namespace
}  // namespace remora
