// What a server says of its connection's future: `Keep-Alive: timeout=5, max=100` (RFC 2068 19.7.1.1; sent by
// Node, Apache, Tomcat and others, never put into a later RFC).
//
// Pure.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// How long a connection may lie idle and still be used: a second less than its server says, since a request
/// that crosses the server's close is lost. 0: not at all (timeout=0 or 1, max=0). None: nothing was said
/// that can be understood.
std::optional<std::chrono::seconds> idle_promise(const std::vector<Field>& fields) noexcept;

}  // namespace remora
