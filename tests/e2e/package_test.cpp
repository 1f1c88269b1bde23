// The Debian package: what is in it, what it needs, and that an edited file outlives upgrades and removal.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/remora.h"

namespace remora::test {
namespace {

namespace fs = std::filesystem;

Ran shell(const std::string& command) {
  Ran ran{-1, ""};
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  const int status = ::pclose(pipe);
  ran.code = status < 0 ? status : WEXITSTATUS(status);
  return ran;
}

bool has_tools() {
  return shell("command -v cpack dpkg-deb dpkg-shlibdeps file").code == 0;
}

class Package : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!has_tools()) return;
    folder = make_folder();
    made = shell("cpack -G DEB --config " REMORA_BUILD_DIR "/CPackConfig.cmake -B " + folder);
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".deb") deb = entry.path();
  }
  static void TearDownTestSuite() {
    if (!folder.empty()) fs::remove_all(folder);
  }
  void SetUp() override {
    if (!has_tools()) GTEST_SKIP() << "no dpkg-dev, file or cpack";
    ASSERT_FALSE(deb.empty()) << made.output;
  }
  static std::string field(const std::string& name) {
    return shell("dpkg-deb -f " + deb.string() + " " + name).output;
  }
  static inline std::string folder;
  static inline fs::path deb;
  static inline Ran made{-1, ""};
};

TEST_F(Package, SaysWhatItIsAndWhatItNeeds) {
  EXPECT_EQ(deb.filename().string().substr(0, 7), "remora_");
  const std::string depends = field("Depends");
  for (const char* library : {"libc6", "libssl3", "libyaml-cpp", "libspdlog", "libsystemd0", "libhiredis"})
    EXPECT_NE(depends.find(library), std::string::npos) << depends;
  EXPECT_NE(field("Maintainer").find('@'), std::string::npos);
  EXPECT_EQ(field("Section"), "net\n");
  const std::string description = field("Description");
  const auto end = description.find('\n');
  EXPECT_GT(end, 10U);
  EXPECT_LT(end, 80U) << "the synopsis is one short line";
  EXPECT_EQ(description.substr(end, 2), "\n ") << "and more stands below: " << description;
}

TEST_F(Package, HoldsWhatAnOperatorNeeds) {
  const std::string files = shell("dpkg-deb -c " + deb.string()).output;
  for (const char* file :
       {"./usr/bin/remora", "./etc/remora/remora.yaml", "systemd/system/remora.service",
        "./usr/share/man/man1/remora.1.gz", "./usr/share/doc/remora/copyright",
        "./usr/share/doc/remora/reference.yaml", "./usr/share/doc/remora/examples/dns.yaml"})
    EXPECT_NE(files.find(file), std::string::npos) << file << "\n" << files;
  const std::string root = folder + "/root";
  ASSERT_EQ(shell("dpkg-deb -R " + deb.string() + " " + root).code, 0);
  EXPECT_EQ(shell("cat " + root + "/DEBIAN/conffiles").output, "/etc/remora/remora.yaml\n");
  for (const char* script : {"postinst", "prerm", "postrm"})
    EXPECT_EQ(::access((root + "/DEBIAN/" + script).c_str(), X_OK), 0) << script;
  EXPECT_NE(shell("file -b " + root + "/usr/bin/remora").output.find(", stripped"), std::string::npos);
  EXPECT_EQ(shell(root + "/usr/bin/remora check -c " + root + "/etc/remora/remora.yaml").code, 0);
  const std::string shipped = shell("cat " + root + "/etc/remora/remora.yaml").output;
  EXPECT_NE(shipped.find("listeners: [127.0.0.1:8080]"), std::string::npos)
      << "nothing that others can reach";
}

TEST_F(Package, AnEditedFileOutlivesUpgradeAndRemoval) {
  if (::geteuid() != 0) GTEST_SKIP() << "dpkg installs as root only";
  const std::string root = folder + "/installed", file = root + "/etc/remora/remora.yaml";
  fs::create_directories(root + "/var/lib/dpkg/updates");
  fs::create_directories(root + "/var/lib/dpkg/info");
  std::ofstream(root + "/var/lib/dpkg/status") << "";
  const std::string dpkg =
      "dpkg --root=" + root + " --force-script-chrootless --force-depends --log=/dev/null ";
  Ran ran = shell(dpkg + "-i " + deb.string());
  ASSERT_EQ(ran.code, 0) << ran.output;
  std::ofstream(file) << "# mine\n";
  ran = shell(dpkg + "-i " + deb.string());  // the same version anew, as an upgrade does it
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(shell("cat " + file).output, "# mine\n");
  ran = shell(dpkg + "-r remora");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(shell("cat " + file).output, "# mine\n");
  EXPECT_FALSE(fs::exists(root + "/usr/bin/remora"));
  ran = shell(dpkg + "-P remora");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(Package, IsNotMadeWithoutTheToolsThatFindItsDependencies) {
  const Ran ran = shell(
      "cmake -DCPACK_GENERATOR=DEB -DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF "
      "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF -P " REMORA_SOURCE_DIR "/cmake/package_tools.cmake");
  EXPECT_NE(ran.code, 0);
  EXPECT_NE(ran.output.find("apt-get install dpkg-dev file"), std::string::npos) << ran.output;
}

}  // namespace
}  // namespace remora::test
