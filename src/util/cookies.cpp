#include "util/cookies.h"

#include <algorithm>

namespace remora {

bool append_cookies_without(std::string_view field, std::span<const std::string_view> names,
                            std::string& out) {
  bool any = false;
  for_each_cookie(field, [&](const CookiePair& pair) {
    if (std::find(names.begin(), names.end(), pair.name) != names.end()) return true;
    if (any) out.append("; ");
    out.append(pair.whole);
    any = true;
    return true;
  });
  return any;
}

}  // namespace remora
