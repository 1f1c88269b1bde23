// Request targets: accepted forms, and the path that routes are matched against. Pure.
#pragma once

#include <string>
#include <string_view>

#include "util/path_chars.h"

namespace remora {

struct RequestHead;

/// Splits origin-form, absolute-form and asterisk-form (RFC 9112 3.2) into host, path and query, and fills
/// `route_path`. Without a Host field `host` is taken from the target. Returns the reason for refusal, or
/// nullptr. Allows bytes from 0x80, and what browsers leave unescaped in queries (`|`, `{`, `"`, a bare `%`,
/// ...). Refuses controls, spaces and `#`, and in the path broken escapes and `%00`.
const char* take_target_apart(RequestHead& head);

/// Decodes escapes of unreserved characters and of those that must be escaped in a path (same_when_escaped),
/// and removes dot segments (RFC 3986 6.2.2), so that a disguised path cannot bypass a route. An escaped
/// slash stays escaped. Appends to `out`, which is for comparison only: it may contain spaces and bytes from
/// 0x80.
void normalize_path(std::string_view path, std::string& out);
/// The two steps of normalize_path. The first appends to `out`; the second works on `out` from `base` on
/// (RFC 3986 5.2.4).
void decode_harmless(std::string_view path, std::string& out);
void remove_dot_segments(std::string& out, std::size_t base);

/// `prefix` covers `path` in whole segments: "/api" and "/api/" cover "/api" and "/api/x", not "/apix".
bool path_covers(std::string_view prefix, std::string_view path) noexcept;
/// The same, case-insensitively, as some servers compare paths.
bool path_covers_in_any_case(std::string_view prefix, std::string_view path) noexcept;

/// The host without its port and without one trailing dot, for matching. Keeps the brackets of IPv6.
std::string_view host_name(std::string_view authority) noexcept;
/// The port as written; empty if there is none.
std::string_view host_port(std::string_view authority) noexcept;
/// Whether both name the same host and port, ignoring case and a trailing dot. A missing port means
/// `default_port` (RFC 9110 4.2.3).
bool same_host(std::string_view a, std::string_view b, std::string_view default_port) noexcept;

}  // namespace remora
