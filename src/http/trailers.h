// Which fields may stand in trailers, in either direction (RFC 9110 6.5).
//
// Servers and gateways merge trailers into the head's fields, or hand both out by one function. So a trailer
// could say what a head may not: who the client is, what it may do, how the message ends. Only two kinds
// pass: those that are known to be harmless (digests, checksums, gRPC's status, Server-Timing), and those
// that the head announced in `Trailer`, unless they are among what no trailer may say.
//
// Pure.
#pragma once

#include <string_view>

#include "remora/http_view.h"

namespace remora {

/// Harmless, announced or not.
bool always_a_trailer(std::string_view name) noexcept;

/// Never, even announced: framing, routing, authentication, conditions and other modifiers of requests, what
/// describes the content or says how to cache it, hop-by-hop fields, cookies, who the client is, remora's
/// own, and names with an odd spelling.
bool never_a_trailer(std::string_view name) noexcept;

/// `announced`: a list of names, none of which is one of never_a_trailer.
bool may_be_trailer(const Field& field, std::string_view announced) noexcept;

}  // namespace remora
