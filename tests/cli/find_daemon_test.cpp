// Which instance a command is for: searxng/searxng #4906, PowerDNS-Admin #867, tchiotludo/akhq #1288 (a
// health check that asks another address than the daemon's).

#include "cli/find_daemon.h"

#include <gtest/gtest.h>

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
  std::string found() const {
    std::string all;
    for (const auto& file : running_files(root_)) all += file.string() + " ";
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

TEST(Addresses, OfTheEnvironmentAreSeparatedByCommasOrBlanks) {
  EXPECT_EQ(split_addresses("127.0.0.1:9900"), (std::vector<std::string>{"127.0.0.1:9900"}));
  EXPECT_EQ(split_addresses(" a:1, b:2\tunix:/c "), (std::vector<std::string>{"a:1", "b:2", "unix:/c"}));
  EXPECT_TRUE(split_addresses(" , ").empty());
  EXPECT_TRUE(split_addresses("").empty());
}

}  // namespace
}  // namespace remora
