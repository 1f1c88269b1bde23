// Request targets: which forms are accepted, and the path that routes are matched against. Pure.
#pragma once

#include <string>
#include <string_view>

#include "util/path_chars.h"

namespace remora {

struct RequestHead;

/// Splits origin-form, absolute-form and asterisk-form (RFC 9112 3.2) into host, path and query, and
/// fills `route_path`. Without a Host field `host` becomes the target's. Returns a reason for refusal, or
/// nullptr. Bytes from 0x80 and what browsers send unescaped in queries (`|`, `{`, `"`, a bare `%`, ...)
/// pass; controls, spaces and `#` do not, nor in the path broken escapes and `%00`.
const char* take_target_apart(RequestHead& head);

/// Decodes escapes of unreserved characters and of those that have to be escaped in a path
/// (same_when_escaped), and removes dot segments (RFC 3986 6.2.2), so that a disguised path cannot slip past
/// a route. An escaped slash stays escaped. Appends to `out`, which is for comparing: it may hold spaces and
/// bytes from 0x80.
void normalise_path(std::string_view path, std::string& out);
/// Its two halves. The first appends to `out`; the second works on `out` from `base` on (RFC 3986 5.2.4).
void decode_harmless(std::string_view path, std::string& out);
void remove_dot_segments(std::string& out, std::size_t base);

/// `prefix` covers `path` in whole segments: "/api" and "/api/" cover "/api" and "/api/x", not "/apix".
bool path_covers(std::string_view prefix, std::string_view path) noexcept;
/// The same as servers see it that ignore the letter case.
bool path_covers_in_any_case(std::string_view prefix, std::string_view path) noexcept;

/// Host without port and without the one final dot of a fully qualified name, for matching. Brackets of IPv6
/// stay.
std::string_view host_name(std::string_view authority) noexcept;
/// Its port as written; empty: none.
std::string_view host_port(std::string_view authority) noexcept;
/// The same name and port, but for letter case and the final dot. No port means `default_port` (RFC 9110
/// 4.2.3).
bool same_host(std::string_view a, std::string_view b, std::string_view default_port) noexcept;

}  // namespace remora
