// Which tunnels may be asked for and granted: protocols of Upgrade fields, as a route lists them. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "remora/config.h"
#include "remora/http_view.h"
#include "util/arena.h"

namespace remora {

/// Whether the request's Upgrade may be forwarded: only for a protocol that the route lists. After an
/// upgrade, routes, authentication, limits and the log see nothing (h2c smuggling). Without it the request is
/// forwarded as plain HTTP (RFC 9110 7.8).
bool passes_upgrade(const std::vector<Field>& fields, const config::Route& route) noexcept;
/// Whether a 101 response names at least one protocol, and only protocols that were forwarded (RFC 9110 7.8).
bool switches_as_asked(const std::vector<Field>& response, const std::vector<Field>& request,
                       const config::Route& route) noexcept;

/// The protocols that the request asks for and the route lists, joined; empty: none.
std::string_view passed_protocols(const std::vector<Field>& fields, const config::Route& route,
                                  TextArena& arena);
/// The protocol that a response names; empty: none.
std::string_view chosen_protocol(const std::vector<Field>& fields) noexcept;

}  // namespace remora
