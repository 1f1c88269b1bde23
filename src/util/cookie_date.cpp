#include "util/cookie_date.h"

#include <chrono>

#include "util/text.h"

namespace remora {

namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_delimiter(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return u == 0x09 || (u >= 0x20 && u <= 0x2f) || (u >= 0x3b && u <= 0x40) || (u >= 0x5b && u <= 0x60) ||
         (u >= 0x7b && u <= 0x7e);
}

/// Removes a number of `least` to `most` digits from the front; -1 if there is none.
int take_number(std::string_view& text, std::size_t least, std::size_t most) noexcept {
  std::size_t n = 0;
  int value = 0;
  while (n < text.size() && n < most && is_digit(text[n])) value = value * 10 + (text[n++] - '0');
  if (n < least) return -1;
  text.remove_prefix(n);
  return value;
}

/// A number is followed by the end of the text or by a non-digit.
bool ends_number(std::string_view rest) noexcept {
  return rest.empty() || !is_digit(rest.front());
}

struct Parts {
  int hour = -1, minute = -1, second = -1, day = -1, month = -1, year = -1;

  bool take_time(std::string_view token) noexcept {
    const int h = take_number(token, 1, 2);
    if (h < 0 || token.empty() || token.front() != ':') return false;
    token.remove_prefix(1);
    const int m = take_number(token, 1, 2);
    if (m < 0 || token.empty() || token.front() != ':') return false;
    token.remove_prefix(1);
    const int s = take_number(token, 1, 2);
    if (s < 0 || !ends_number(token)) return false;
    hour = h;
    minute = m;
    second = s;
    return true;
  }
  bool take_day(std::string_view token) noexcept {
    const int d = take_number(token, 1, 2);
    if (d < 0 || !ends_number(token)) return false;
    day = d;
    return true;
  }
  bool take_month(std::string_view token) noexcept {
    constexpr std::string_view names = "janfebmaraprmayjunjulaugsepoctnovdec";
    if (token.size() < 3) return false;
    for (std::size_t i = 0; i < 12; ++i)
      if (iequals(token.substr(0, 3), names.substr(i * 3, 3))) {
        month = static_cast<int>(i) + 1;
        return true;
      }
    return false;
  }
  bool take_year(std::string_view token) noexcept {
    const int y = take_number(token, 2, 4);
    if (y < 0 || !ends_number(token)) return false;
    year = y >= 70 && y <= 99 ? y + 1900 : y >= 0 && y <= 69 ? y + 2000 : y;
    return true;
  }
};

}  // namespace

std::optional<std::int64_t> parse_cookie_date(std::string_view text) noexcept {
  Parts p;
  while (!text.empty()) {
    if (is_delimiter(text.front())) {
      text.remove_prefix(1);
      continue;
    }
    std::size_t n = 0;
    while (n < text.size() && !is_delimiter(text[n])) ++n;
    const std::string_view token = text.substr(0, n);
    text.remove_prefix(n);
    if (p.hour < 0 && p.take_time(token)) continue;
    if (p.day < 0 && p.take_day(token)) continue;
    if (p.month < 0 && p.take_month(token)) continue;
    if (p.year < 0) static_cast<void>(p.take_year(token));
  }
  if (p.hour < 0 || p.day < 0 || p.month < 0 || p.year < 1601) return std::nullopt;
  if (p.hour > 23 || p.minute > 59 || p.second > 59) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(p.year),
                                         std::chrono::month(static_cast<unsigned>(p.month)),
                                         std::chrono::day(static_cast<unsigned>(p.day)));
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + p.hour) * 60 + p.minute) * 60 + p.second;
}

}  // namespace remora
