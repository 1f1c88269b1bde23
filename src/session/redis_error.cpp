#include "session/redis_error.h"

#include <algorithm>
#include <array>

#include "util/text.h"

namespace remora {

namespace {

using Kind = RedisError::Kind;

struct Code {
  std::string_view name;
  Kind kind;
};
// LOADING, NOREPLICAS and a failed login also end the connection. The next connection resolves the name
// again, logs in again, and shows in its greeting, before the first command, whether the server has
// recovered. (Users and passwords are not replicated: another server may have more of them, or fewer.) The
// log says why.
constexpr std::array codes{Code{"READONLY", Kind::wrong_one},
                           Code{"MASTERDOWN", Kind::wrong_one},
                           Code{"UNBLOCKED", Kind::wrong_one},
                           Code{"LOADING", Kind::wrong_one},
                           Code{"NOREPLICAS", Kind::wrong_one},
                           Code{"NOAUTH", Kind::wrong_one},
                           Code{"WRONGPASS", Kind::wrong_one},
                           Code{"NOPERM", Kind::refused},
                           Code{"MOVED", Kind::moved},
                           Code{"ASK", Kind::ask},
                           Code{"CLUSTERDOWN", Kind::not_now},
                           Code{"TRYAGAIN", Kind::not_now},
                           Code{"BUSY", Kind::not_now},
                           Code{"MISCONF", Kind::not_now},
                           Code{"OOM", Kind::full},
                           Code{"NOSCRIPT", Kind::no_script}};

/// The code that `text` begins with.
const Code* code_of(std::string_view text) noexcept {
  const std::string_view word = text.substr(0, text.find_first_of(" \r\n"));
  const auto* const it =
      std::find_if(codes.begin(), codes.end(), [&](const Code& c) { return c.name == word; });
  return it == codes.end() ? nullptr : it;
}

}  // namespace

RedisError read_redis_error(std::string_view text) noexcept {
  if (const Code* const code = code_of(text)) return {code->kind, text};
  constexpr std::string_view wrapped = "ERR Error running script";
  if (!text.starts_with(wrapped)) return {Kind::refused, text};
  for (std::size_t dash = text.find('-', wrapped.size()); dash != std::string_view::npos;
       dash = text.find('-', dash + 1)) {
    const char before = text[dash - 1];
    if (before != ' ' && before != ':') continue;  // a hyphen as in read-only, not the start of -READONLY
    const std::string_view inner = text.substr(dash + 1);
    if (const Code* const code = code_of(inner)) return {code->kind, inner};
  }
  return {Kind::refused, text};
}

std::optional<RedisPlace> redis_place(std::string_view error) {
  for (int word = 0; word < 2; ++word) {
    const std::size_t space = error.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    error.remove_prefix(space + 1);
  }
  error = error.substr(0, error.find_first_of(" \r\n"));
  const std::size_t colon = error.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = error.substr(0, colon);
  if (host == "?") return std::nullopt;  // the node does not know its own name (Redis 7)
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto port = parse_decimal(error.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  return RedisPlace{std::string(host), static_cast<unsigned short>(*port)};
}

}  // namespace remora
