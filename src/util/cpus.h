// How many CPUs this process may use: its affinity mask, and the quotas of its control groups and of all
// above them.
#pragma once

#include <filesystem>
#include <optional>

namespace remora {

/// The smallest CPU quota that applies, in CPUs (1.5, say); nothing: none. Control groups v1 and v2, also
/// beside each other, wherever /proc says that they are mounted. `root`: of the file system, for tests.
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& root = "/");

/// CPUs of the affinity mask, at most as many as the quota allows whole, at least one.
unsigned usable_cpus();
unsigned usable_cpus(unsigned in_mask, std::optional<double> quota) noexcept;

}  // namespace remora
