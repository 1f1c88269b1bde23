#include "util/cookies.h"

namespace remora {

bool append_cookies_without(std::string_view field, std::string_view name, std::string& out) {
  bool any = false;
  for_each_cookie(field, [&](const CookiePair& pair) {
    if (pair.name == name) return true;
    if (any) out.append("; ");
    out.append(pair.whole);
    any = true;
    return true;
  });
  return any;
}

}  // namespace remora
