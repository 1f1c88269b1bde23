// Parses the Cookie field (RFC 6265 4.2, and what browsers and apps send in practice). Pure, no allocation.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "util/text.h"

namespace remora {

struct CookiePair {
  std::string_view name, value;  // the value without surrounding quotes
  std::string_view whole;        // as sent
};

/// Calls `f` with each pair; `f` returns false to stop. Pairs without `=` have an empty name.
template <class F>
void for_each_cookie(std::string_view field, F f) {
  while (!field.empty()) {
    const auto end = field.find(';');
    const auto whole = trim(field.substr(0, end));
    if (!whole.empty()) {
      const auto eq = whole.find('=');
      CookiePair pair{eq == std::string_view::npos ? std::string_view() : trim(whole.substr(0, eq)),
                      eq == std::string_view::npos ? whole : trim(whole.substr(eq + 1)), whole};
      if (pair.value.size() >= 2 && pair.value.front() == '"' && pair.value.back() == '"')
        pair.value = pair.value.substr(1, pair.value.size() - 2);
      if (!f(pair)) return;
    }
    if (end == std::string_view::npos) return;
    field.remove_prefix(end + 1);
  }
}

/// Appends `field` without the cookies that match `names`, by name or as a whole pair ("name=value").
/// Returns false if no cookie is left.
bool append_cookies_without(std::string_view field, std::span<const std::string_view> names,
                            std::string& out);

}  // namespace remora
