// How many request threads `workers: auto` means: quotas of control groups as containers, pods and slices
// have them.

#include "util/cpus.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

namespace remora {
namespace {

namespace fs = std::filesystem;

/// A file system with these files.
class Machine {
 public:
  explicit Machine(const std::map<std::string, std::string>& files) {
    char name[] = "/tmp/remora-cpus-XXXXXX";
    root_ = ::mkdtemp(name);
    for (const auto& [path, text] : files) {
      fs::create_directories((root_ / path).parent_path());
      std::ofstream(root_ / path) << text;
    }
  }
  ~Machine() { fs::remove_all(root_); }
  double quota() const { return cgroup_cpu_quota(root_).value_or(-1); }

 private:
  fs::path root_;
};

const std::string v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string v1 =
    "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 24 0:28 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n";

TEST(Cpus, NoControlGroupsNoQuota) {
  EXPECT_EQ(Machine(std::map<std::string, std::string>()).quota(), -1);
  EXPECT_EQ(Machine(std::map<std::string, std::string>{
                        {"proc/self/mountinfo", "1 1 0:1 / / rw - ext4 /dev/sda rw\n"}})
                .quota(),
            -1);
}

TEST(Cpus, AContainerSeesItsQuotaAtTheRoot) {
  EXPECT_EQ(Machine({{"proc/self/mountinfo", v2},
                     {"proc/self/cgroup", "0::/\n"},
                     {"sys/fs/cgroup/cpu.max", "150000 100000\n"}})
                .quota(),
            1.5);
  EXPECT_EQ(Machine({{"proc/self/mountinfo", v2},
                     {"proc/self/cgroup", "0::/\n"},
                     {"sys/fs/cgroup/cpu.max", "max 100000\n"}})
                .quota(),
            -1);
}

TEST(Cpus, TheSmallestOfNestedGroupsCounts) {
  const std::string slice = "sys/fs/cgroup/system.slice/";
  std::map<std::string, std::string> files{{"proc/self/mountinfo", v2},
                                           {"proc/self/cgroup", "0::/system.slice/remora.service\n"},
                                           {slice + "cpu.max", "200000 100000\n"},
                                           {slice + "remora.service/cpu.max", "400000 100000\n"}};
  EXPECT_EQ(Machine(files).quota(), 2) << "CPUQuota of the slice";
  files[slice + "remora.service/cpu.max"] = "50000 100000\n";
  EXPECT_EQ(Machine(files).quota(), 0.5) << "CPUQuota of the unit";
  files[slice + "remora.service/cpu.max"] = "max 100000\n";
  EXPECT_EQ(Machine(files).quota(), 2);
}

TEST(Cpus, TheFirstVersionHasAHierarchyOfItsOwn) {
  std::map<std::string, std::string> files{
      {"proc/self/mountinfo", v1},
      {"proc/self/cgroup", "5:memory:/docker/c\n4:cpu,cpuacct:/docker/c\n1:name=systemd:/docker/c\n"},
      {"sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_quota_us", "300000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_period_us", "100000\n"}};
  EXPECT_EQ(Machine(files).quota(), 3);
  files["sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us"] = "100000\n";
  files["sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us"] = "50000\n";
  EXPECT_EQ(Machine(files).quota(), 2);
  files["sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_quota_us"] = "-1\n";
  files["sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us"] = "-1\n";
  EXPECT_EQ(Machine(files).quota(), -1);
}

// Docker with v1: /proc/self/cgroup names the group of the host, and only that group is mounted.
TEST(Cpus, AMountThatShowsOnlyOurGroup) {
  EXPECT_EQ(
      Machine({{"proc/self/mountinfo", "31 24 0:27 /docker/c /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"},
               {"proc/self/cgroup", "4:cpu:/docker/c\n"},
               {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"},
               {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}})
          .quota(),
      2);
  EXPECT_EQ(Machine({{"proc/self/mountinfo", "30 24 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
                     {"proc/self/cgroup", "0::/../elsewhere\n"},
                     {"sys/fs/cgroup/cpu.max", "200000 100000\n"}})
                .quota(),
            2);
}

TEST(Cpus, BothVersionsBesideEachOther) {
  EXPECT_EQ(
      Machine({{"proc/self/mountinfo", v1 + "33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
               {"proc/self/cgroup", "4:cpu,cpuacct:/x\n0::/x\n"},
               {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n"},
               {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"},
               {"sys/fs/cgroup/unified/x/cgroup.procs", "1\n"}})
          .quota(),
      2.5);
}

TEST(Cpus, WholeOnesOfTheQuotaAndAtLeastOne) {
  EXPECT_EQ(usable_cpus(8, std::nullopt), 8U);
  EXPECT_EQ(usable_cpus(8, 2.5), 2U);
  EXPECT_EQ(usable_cpus(8, 0.1), 1U);
  EXPECT_EQ(usable_cpus(2, 16), 2U);
  EXPECT_EQ(usable_cpus(0, std::nullopt), 1U);
  EXPECT_GE(usable_cpus(), 1U);
}

}  // namespace
}  // namespace remora
