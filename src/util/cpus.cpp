#include "util/cpus.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace remora {

namespace fs = std::filesystem;

namespace {

/// One cgroup hierarchy: its mount point, and the group that is mounted there.
struct Mount {
  fs::path root, point;
  bool v2 = false;
};

/// Decodes \040 and the like, as /proc/self/mountinfo escapes blanks.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool octal =
        text[i] == '\\' && i + 3 < text.size() && text.find_first_not_of("01234567", i + 1) > i + 3;
    if (!octal) {
      out += text[i];
      continue;
    }
    out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

bool lists(const std::string& options, const std::string& wanted) {
  std::istringstream in(options);
  for (std::string one; std::getline(in, one, ',');)
    if (one == wanted) return true;
  return false;
}

/// The mounts that can hold a CPU quota. Format: 36 35 98:0 ROOT POINT options [tags] - TYPE SOURCE
/// SUPER-OPTIONS
std::vector<Mount> mounts(const fs::path& root) {
  std::vector<Mount> out;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string skipped, seen, point, type, source, options;
    before >> skipped >> skipped >> skipped >> seen >> point;
    after >> type >> source >> options;
    if (type == "cgroup2" || (type == "cgroup" && lists(options, "cpu")))
      out.push_back({unescaped(seen), unescaped(point), type == "cgroup2"});
  }
  return out;
}

/// This process's group in a hierarchy, from /proc/self/cgroup: "0::/a/b", "4:cpu,cpuacct:/a".
fs::path own_group(const fs::path& root, bool v2) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : lists(controllers, "cpu")) return line.substr(second + 1);
  }
  return "/";
}

std::optional<double> quota_of(const fs::path& group, bool v2) {
  double limit = 0, period = 0;
  if (v2) {
    std::ifstream in(group / "cpu.max");  // "max 100000" or "150000 100000"
    if (!(in >> limit >> period)) return std::nullopt;
  } else {
    std::ifstream limit_in(group / "cpu.cfs_quota_us"), period_in(group / "cpu.cfs_period_us");
    if (!(limit_in >> limit) || !(period_in >> period)) return std::nullopt;
  }
  if (limit <= 0 || period <= 0) return std::nullopt;  // -1: no quota
  return limit / period;
}

unsigned cpus_in_mask() {
  for (int room = 1024; room <= 65536; room *= 2) {  // the kernel rejects a set smaller than its own
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(room));
    if (set == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
    CPU_ZERO_S(size, set);
    const bool known = ::sched_getaffinity(0, size, set) == 0;
    const unsigned n = known ? static_cast<unsigned>(CPU_COUNT_S(size, set)) : 0;
    CPU_FREE(set);
    if (known) return n;
  }
  return std::thread::hardware_concurrency();
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const fs::path& root) {
  std::optional<double> least;
  for (const Mount& mount : mounts(root)) {
    // Groups above the mounted one are not visible, and in a container the group's path may not be visible
    // at all.
    fs::path below = own_group(root, mount.v2).lexically_relative(mount.root);
    if (below.empty() || *below.begin() == "..") below = ".";
    const fs::path top = root / mount.point.relative_path();
    std::error_code ec;
    fs::path group = (top / below).lexically_normal();
    if (!fs::is_directory(group, ec)) group = top;
    for (;;) {
      if (const auto quota = quota_of(group, mount.v2)) least = std::min(least.value_or(*quota), *quota);
      const fs::path inside = group.lexically_relative(top);
      if (inside.empty() || inside == "." || *inside.begin() == "..") break;
      group = group.has_filename() ? group.parent_path() : group.parent_path().parent_path();
    }
  }
  return least;
}

unsigned usable_cpus(unsigned in_mask, std::optional<double> quota) noexcept {
  unsigned n = in_mask;
  if (quota && *quota < n) n = static_cast<unsigned>(*quota);
  return std::max(1U, n);
}

unsigned usable_cpus() {
  return usable_cpus(cpus_in_mask(), cgroup_cpu_quota());
}

}  // namespace remora
