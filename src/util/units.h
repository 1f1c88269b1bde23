// Parses durations (250ms 10s 5m 12h 7d), sizes (512B 16KiB 1MiB), percentages (20%) and switches. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace remora {

/// At most a hundred years. A unit is required; signs are not accepted.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);
/// "20%" is 0.2; at most 100%.
std::optional<double> parse_share(std::string_view text);
/// on, true, yes; off, false, no; case-insensitive, as in YAML 1.1 and templates.
std::optional<bool> parse_switch(std::string_view text) noexcept;

}  // namespace remora
