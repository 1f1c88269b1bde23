// How many CPUs this process may use: its affinity mask, and the quotas of its cgroups and all their
// ancestors.
#pragma once

#include <filesystem>
#include <optional>

namespace remora {

/// The smallest CPU quota that applies, in CPUs (for example 1.5); nullopt: none. Supports cgroup v1 and v2,
/// also mixed, wherever /proc says they are mounted. `root`: of the file system, for tests.
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& root = "/");

/// CPUs in the affinity mask, at most the quota rounded down, at least one.
unsigned usable_cpus();
unsigned usable_cpus(unsigned in_mask, std::optional<double> quota) noexcept;

}  // namespace remora
