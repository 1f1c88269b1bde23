#include "util/cookies.h"

#include <algorithm>

namespace remora {

bool append_cookies_without(std::string_view field, std::span<const std::string_view> names,
                            std::string& out) {
  bool any = false;
  for_each_cookie(field, [&](const CookiePair& pair) {
    const bool dropped = std::any_of(names.begin(), names.end(), [&](std::string_view n) {
      return n == pair.name || (n == pair.whole && !pair.name.empty());
    });
    if (dropped) return true;
    if (any) out.append("; ");
    out.append(pair.whole);
    any = true;
    return true;
  });
  return any;
}

}  // namespace remora
