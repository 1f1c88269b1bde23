// What the rest of remora may see of a request or a response: borrowed views, no protocol.
//
// Every string_view points into a receive buffer that the exchange holds; it is valid until the
// exchange ends. Nothing here parses or allocates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace remora {

/// The fields that remora itself has an opinion on; everything else is `other` and passes through.
enum class Known : std::uint8_t {
  other,
  accept,
  cache_control,
  connection,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  host,
  keep_alive,
  max_forwards,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  remora,  // any Remora-* field, whatever the letter case and with `_` for `-`
  retry_after,
  set_cookie,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  via,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_proto,
  x_request_id,
};

struct Field {
  std::string_view name, value;
  Known known = Known::other;
};

enum class Method : std::uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };

/// RFC 9110 9.2.2: a repeated idempotent request has the effect of one.
constexpr bool idempotent(Method m) noexcept {
  return m == Method::get || m == Method::head || m == Method::put || m == Method::delete_ ||
         m == Method::options || m == Method::trace;
}

/// An address as 16 bytes (IPv4 as v4-mapped IPv6), so that one comparison serves both families.
/// A unix peer is all zero.
struct ClientAddress {
  std::uint8_t bytes[16] = {};
  std::uint16_t port = 0;
  bool is_v4() const noexcept;
  /// Writes the textual form without port; at most 45 characters. Returns its length.
  std::size_t format(char* out) const noexcept;
  std::string text() const;
};

struct RequestView {
  Method method = Method::other;
  std::string_view target, host, path;
  std::span<const Field> fields;
  ClientAddress client;    // the real one, behind trusted proxies
  bool secure = false;     // the client came over TLS (or a trusted proxy says so)
  bool preflight = false;  // a CORS preflight begins no session
};

struct ResponseView {
  std::uint16_t status = 0;
  std::span<const Field> fields;
  bool shared_cacheable = false;  // Cache-Control lets shared caches keep it
};

/// What affinity wants changed in the request that the backend sees.
struct RequestEdits {
  std::string_view drop_cookie;  // our own token; empty: nothing to drop
};

/// Lines to append to the response head, each "Name: value\r\n"; and the one change to an
/// existing field that affinity may ask for.
struct ResponseEdits {
  std::string lines;
  bool make_private = false;
  void add(std::string_view name, std::string_view value) {
    lines.append(name).append(": ").append(value).append("\r\n");
  }
  void clear() {
    lines.clear();
    make_private = false;
  }
};

}  // namespace remora
