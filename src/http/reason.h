// Reason phrases of statuses: for local replies, and for interim responses whose server sent none.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora {

/// As RFC 9110 names the status; "Error" for one that is not registered.
std::string_view reason_phrase(std::uint16_t status) noexcept;

}  // namespace remora
