#include "util/utc_text.h"

#include <ctime>

namespace remora {

void format_utc(std::string& out, std::int64_t seconds, const char* format) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[64];
  out.assign(text, std::strftime(text, sizeof text, format, &parts));
}

}  // namespace remora
