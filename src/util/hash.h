// XXH3 of text: for load distribution and tables, never for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora {
std::uint64_t hash_text(std::string_view text) noexcept;
}  // namespace remora
