#include "util/units.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "util/text.h"

namespace remora {

namespace {

/// Splits number and unit: "1.5" and "s".
std::optional<std::pair<double, std::string_view>> split_unit(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && ((text[i] >= '0' && text[i] <= '9') || text[i] == '.')) ++i;
  if (i == 0 || i > 15 || text.front() == '.' ||
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(i), '.') > 1)
    return std::nullopt;
  return std::pair(std::strtod(std::string(text.substr(0, i)).c_str(), nullptr), text.substr(i));
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto parts = split_unit(text);
  if (!parts) return std::nullopt;
  const auto& [n, unit] = *parts;
  const double ms = unit == "ms"  ? 1
                    : unit == "s" ? 1e3
                    : unit == "m" ? 6e4
                    : unit == "h" ? 3.6e6
                    : unit == "d" ? 8.64e7
                                  : 0;
  if (ms == 0 || n * ms > 3.2e12) return std::nullopt;  // a hundred years
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(n * ms)));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto parts = split_unit(text);
  if (!parts) return std::nullopt;
  const auto& [n, unit] = *parts;
  const double bytes = unit == "B"     ? 1
                       : unit == "KiB" ? 1024.0
                       : unit == "MiB" ? 1048576.0
                       : unit == "GiB" ? 1073741824.0
                       : unit == "TiB" ? 1099511627776.0
                                       : 0;
  if (bytes == 0 || n * bytes > 9e15) return std::nullopt;
  return static_cast<std::uint64_t>(n * bytes);
}

std::optional<double> parse_share(std::string_view text) {
  const auto parts = split_unit(text);
  if (!parts || parts->second != "%" || parts->first > 100) return std::nullopt;
  return parts->first / 100;
}

std::optional<bool> parse_switch(std::string_view text) noexcept {
  for (const char* word : {"on", "true", "yes"})
    if (iequals(text, word)) return true;
  for (const char* word : {"off", "false", "no"})
    if (iequals(text, word)) return false;
  return std::nullopt;
}

}  // namespace remora
