// Heads of requests and responses, the same for every version of HTTP.
//
// A codec parses bytes into a head, has it checked (validate.h), and hands it to the exchange; what the
// exchange sends it hands back as an OutHead. What only one codec needs to know of a message (HTTP/1: chunked
// or until close, persistence) stays inside that codec; ask its stream (message_stream.h).
//
// Pure. Views point into the codec's memory; see message_stream.h for how long.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

enum class Version : std::uint8_t { http10, http11, http2 };

/// As in Via (RFC 9110 7.6.3) and in logs; HTTP/2 has no minor version, and counts as 2.0 where one is
/// required (RFC 9110 2.5).
constexpr std::string_view to_string(Version version) noexcept {
  switch (version) {
    case Version::http10:
      return "1.0";
    case Version::http11:
      return "1.1";
    case Version::http2:
      break;
  }
  return "2.0";
}

/// How much body follows a head.
struct BodyLength {
  enum class Kind : std::uint8_t {
    none,
    known,
    unknown,  // until its codec says that it ends
  } kind = Kind::none;
  std::uint64_t bytes = 0;

  /// No byte of a body can follow.
  constexpr bool is_empty() const noexcept {
    return kind == Kind::none || (kind == Kind::known && bytes == 0);
  }
};

/// Members shared by both heads. Reused for each message, so that parsing allocates nothing.
struct Head {
  std::vector<Field> fields;
  Version version = Version::http11;
  BodyLength body;
  /// The only (or first) field of that kind, or nullptr.
  const Field* find(Known) const noexcept;
};

struct RequestHead : Head {
  std::string_view method_text, target;
  Method method = Method::other;
  std::string_view host;   // authority as sent: Host, :authority, or the absolute target's
  std::string_view path;   // up to `?`, as sent
  std::string_view query;  // after `?`
  std::string route_path;  // harmless escapes decoded, dot segments removed: the path that routes match
  std::string rooted;      // owns the target if it came without a path (`http://a?x`)
  /// Asks for a tunnel, by a protocol in the fields Upgrade: HTTP/1.1's Upgrade, HTTP/2's extended CONNECT
  /// (RFC 8441).
  bool tunnel = false;
  bool expect_continue = false;
  bool connection_auth = false;  // credentials bound to the connection (connection_auth.h)
};

struct ResponseHead : Head {
  std::uint16_t status = 0;
  std::string_view reason;
  /// Grants a tunnel, by the protocol in the field Upgrade. The status is 101 in every version: a codec that
  /// has another translates.
  bool tunnel = false;
  /// Content-Length is not allowed here, or meaningless: do not forward it.
  bool drops_length = false;
};

/// A head to be sent: fields as edited, in order. The codec adds the fields of its framing.
struct OutHead {
  std::string_view method, target;  // requests
  std::uint16_t status = 0;         // responses
  std::string_view reason;
  std::vector<Field> fields;   // views; reused
  BodyLength body;             // of the body that follows
  bool close = false;          // no other message is to follow on this connection
  std::string_view tunnel;     // protocols of the tunnel that is asked for or granted; empty: no tunnel
  std::string_view trailers;   // trailer names announced in the head, in addition to those always allowed
  bool grpc_trailers = false;  // HTTP/2: trailers of gRPC pass, whatever their names (trailers.h)

  /// Prepares for another head, reusing memory; drops all views.
  void clear() noexcept {
    fields.clear();
    method = target = reason = tunnel = trailers = {};
    status = 0;
    body = {};
    close = grpc_trailers = false;
  }
};

}  // namespace remora
