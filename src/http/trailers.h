// Which fields are allowed in trailers, in either direction (RFC 9110 6.5).
//
// Servers and gateways merge trailers into the head's fields, or return both from one function. So a trailer
// could smuggle in what a head may not say: who the client is, what it may do, how the message ends. Two
// kinds pass: fields known to be harmless (digests, checksums, gRPC's status, Server-Timing), and fields
// announced in `Trailer`, except those that are never allowed.
//
// Pure.
#pragma once

#include <string_view>

#include "remora/http_view.h"

namespace remora {

/// Harmless: allowed whether announced or not.
bool always_a_trailer(std::string_view name) noexcept;

/// Never allowed, even if announced: framing, routing, authentication, conditions and other request
/// modifiers, content metadata and caching, hop-by-hop fields, cookies, client identity, remora's own
/// fields, and names with unusual characters.
bool never_a_trailer(std::string_view name) noexcept;

/// gRPC: whether a response may have the trailer, announced or not. Its calls end with trailers of any name
/// (metadata), so only those are refused that concern the connection, framing, routing, credentials, cookies
/// or caches, and what is no name of metadata.
bool may_be_grpc_trailer(const Field& field) noexcept;

/// Whether to forward a trailer. `announced`: a list of names. REQUIRES: never_a_trailer() is false for each
/// of them.
bool may_be_trailer(const Field& field, std::string_view announced) noexcept;

}  // namespace remora
