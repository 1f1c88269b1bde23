// Durations and sizes as people write them: 250ms 10s 5m 12h 7d, 512B 16KiB 1MiB; shares: 20%. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace remora {

/// At most a hundred years. A unit is needed, a sign is not understood.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);
/// "20%" is 0.2; at most 100%.
std::optional<double> parse_share(std::string_view text);
/// on, true, yes; off, false, no; in any letter case, as YAML 1.1 and templates write them.
std::optional<bool> parse_switch(std::string_view text) noexcept;

}  // namespace remora
