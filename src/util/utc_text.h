// Times as text, in UTC.
//
// Threading: any; the process keeps the "C" locale, so names of days and months are English.
#pragma once

#include <cstdint>
#include <string>

namespace remora {

/// `seconds` since 1970, as strftime(3) formats them: at most 63 characters. Reuses the memory of `out`.
void format_utc(std::string& out, std::int64_t seconds, const char* format);

}  // namespace remora
