// Heads and trailers to nghttp2, which copies them and writes names in lower case. Fields about the
// connection are left out.
//
// Threading: any; an array is kept for each thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "http/h2/stream.h"

struct nghttp2_session;

namespace remora {

/// What comes behind a head.
enum class Follows : std::uint8_t { nothing, body, tunnel, another_head };

/// Submits a response head with this status. False: the connection is lost.
bool submit_response(nghttp2_session* session, Http2Stream& stream, const OutHead& head, std::uint16_t status,
                     Follows follows);

/// A pseudo-header field (RFC 9113 8.3): name and value.
using Http2Pseudo = std::pair<std::string_view, std::string_view>;

/// Submits a request head: the pseudo-header fields, then those of `head` that HTTP/2 has. Returns the
/// stream's number; negative: the connection is lost.
std::int32_t submit_request(nghttp2_session* session, Http2Stream& stream,
                            std::span<const Http2Pseudo> pseudo, const OutHead& head, Follows follows);

/// Submits those trailers that may be sent (trailers.h). False: there are none.
bool submit_trailers(nghttp2_session* session, std::int32_t id, const std::vector<Field>& trailers,
                     std::string_view announced, bool grpc);

}  // namespace remora
