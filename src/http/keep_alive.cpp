#include "http/keep_alive.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {

constexpr std::uint64_t longest = 24 * 60 * 60;  // larger values are capped

bool is_space(char c) noexcept {
  return c == ' ' || c == '\t';
}

/// The number after `name=` in a parameter, with any spacing or quoting; text after the digits (a unit, a
/// fraction) is ignored. None: another parameter, or no number.
std::optional<std::uint64_t> number_of(std::string_view parameter, std::string_view name) noexcept {
  if (!istarts_with(parameter, name)) return std::nullopt;
  parameter = trim(parameter.substr(name.size()));
  if (parameter.empty() || parameter.front() != '=') return std::nullopt;
  parameter = trim(parameter.substr(1));
  if (!parameter.empty() && parameter.front() == '"') parameter.remove_prefix(1);
  while (!parameter.empty() && is_space(parameter.front())) parameter.remove_prefix(1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto end = std::find_if_not(parameter.begin(), parameter.end(), is_digit);
  const auto digits = parameter.substr(0, static_cast<std::size_t>(end - parameter.begin()));
  if (digits.empty()) return std::nullopt;
  return std::min(parse_decimal(digits).value_or(longest), longest);
}

}  // namespace

std::optional<std::chrono::seconds> idle_promise(const std::vector<Field>& fields) noexcept {
  std::optional<std::uint64_t> least;
  const auto take = [&](std::uint64_t seconds) { least = std::min(least.value_or(seconds), seconds); };
  for (const Field& f : fields) {
    if (f.known != Known::keep_alive) continue;
    std::string_view rest = f.value;
    while (!rest.empty()) {  // RFC 2068 uses commas; some servers use semicolons
      const auto end = rest.find_first_of(",;");
      const auto parameter = trim(rest.substr(0, end));
      if (const auto seconds = number_of(parameter, "timeout")) take(*seconds > 0 ? *seconds - 1 : 0);
      if (const auto requests = number_of(parameter, "max"); requests && *requests == 0) take(0);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  if (!least) return std::nullopt;
  return std::chrono::seconds(*least);
}

}  // namespace remora
