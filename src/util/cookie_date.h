// The dates of cookies (RFC 6265 5.1.1): what browsers take, which is more than HTTP's three forms.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace remora {

/// Seconds since 1970; nothing when browsers would ignore the date. Pure, no allocation.
std::optional<std::int64_t> parse_cookie_date(std::string_view text) noexcept;

}  // namespace remora
