// Parses `Keep-Alive: timeout=5, max=100` (RFC 2068 19.7.1.1; sent by Node, Apache, Tomcat and others, but
// in no later RFC).
//
// Pure.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// How long the connection may be idle and still be reused: one second less than the server's timeout,
/// because a request that crosses the server's close is lost. 0: do not reuse (timeout=0 or 1, max=0). None:
/// no usable value.
std::optional<std::chrono::seconds> idle_promise(const std::vector<Field>& fields) noexcept;

}  // namespace remora
