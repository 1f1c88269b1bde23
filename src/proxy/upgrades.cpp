#include "proxy/upgrades.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {

/// Protocols read per message; real clients offer fewer.
constexpr unsigned max_protocols = 16;

/// Calls `f` with each protocol that the request asks for and the route lists.
template <class F>
void for_each_passed_protocol(const std::vector<Field>& fields, const config::Route& route, F f) {
  unsigned left = max_protocols;
  for (const Field& field : fields) {
    if (field.known != Known::upgrade) continue;
    for_each_token(field.value, [&](std::string_view protocol) {
      if (std::any_of(route.upgrades.begin(), route.upgrades.end(),
                      [&](const auto& name) { return iequals(name, protocol); }))
        f(protocol);
      return --left > 0;
    });
    if (left == 0) return;
  }
}

}  // namespace

bool passes_upgrade(const std::vector<Field>& fields, const config::Route& route) noexcept {
  bool any = false;
  for_each_passed_protocol(fields, route, [&](std::string_view) { any = true; });
  return any;
}

bool switches_as_asked(const std::vector<Field>& response, const std::vector<Field>& request,
                       const config::Route& route) noexcept {
  const auto name = [](std::string_view protocol) { return protocol.substr(0, protocol.find('/')); };
  bool any = false, all = true;
  for (const Field& f : response) {
    if (f.known != Known::upgrade) continue;
    for_each_token(f.value, [&](std::string_view taken) {
      bool asked = false;
      for_each_passed_protocol(request, route, [&](std::string_view p) {
        asked = asked || iequals(p, taken) || (name(p) == p && iequals(p, name(taken)));
      });
      any = true;
      all = all && asked;
      return all;
    });
  }
  return any && all;
}

std::string_view passed_protocols(const std::vector<Field>& fields, const config::Route& route,
                                  TextArena& arena) {
  std::string_view value;
  for_each_passed_protocol(fields, route, [&](std::string_view protocol) {
    value = value.empty() ? protocol : arena.join(value, ", ", protocol);
  });
  return value;
}

std::string_view chosen_protocol(const std::vector<Field>& fields) noexcept {
  for (const Field& f : fields)
    if (f.known == Known::upgrade) return f.value;
  return {};
}

}  // namespace remora
