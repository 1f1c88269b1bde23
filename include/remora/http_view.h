// What the rest of remora may see of a request or a response: borrowed views, no protocol.
//
// Every string_view points into a receive buffer that the exchange holds; it is valid until the
// exchange ends. Nothing here parses or allocates.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/arena.h"

namespace remora {

/// The fields that remora itself has an opinion on; everything else is `other` and passes through.
enum class Known : std::uint8_t {
  other,
  accept,
  accept_encoding,
  cache_control,
  connection,
  content_encoding,
  content_length,
  content_location,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  host,
  location,
  keep_alive,
  link,
  max_forwards,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  range,
  referer,
  refresh,
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
  /// The views lie in a line "name: value\r\n", as we would write it: it can be sent on with its neighbours.
  bool whole_line = false;
  /// The name holds more than letters, digits and hyphens: `_`, say, which CGI takes for a hyphen.
  bool odd_name = false;
};

enum class Method : std::uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };

/// RFC 9110 9.2.2: a repeated idempotent request has the effect of one.
constexpr bool idempotent(Method m) noexcept {
  return m == Method::get || m == Method::head || m == Method::put || m == Method::delete_ ||
         m == Method::options || m == Method::trace;
}

/// An address as 16 bytes (IPv4 as v4-mapped IPv6), so that one comparison serves both families.
/// A unix peer is all zero: unknown, as `::` is nobody's address.
struct ClientAddress {
  /// What a v4-mapped address begins with (RFC 4291 2.5.5.2).
  static constexpr std::uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::uint8_t bytes[16] = {};
  std::uint16_t port = 0;
  bool is_v4() const noexcept;
  bool is_unknown() const noexcept;
  /// Writes the textual form without port (`unknown`: RFC 7239 6.2); at most 45 characters. Returns its
  /// length.
  std::size_t format(char* out) const noexcept;
  std::string text() const;
};

/// The claims of a JWT that was verified: the seam between verification and affinity.
class VerifiedClaims {
 public:
  virtual ~VerifiedClaims() = default;
  /// A claim as text (strings without quotes, numbers as written), if `verifier` accepted this request's JWT.
  virtual std::optional<std::string_view> find(std::string_view verifier,
                                               std::string_view claim) const noexcept = 0;
};

/// Which URLs lead back to the pool that serves this request. Kinds that put tokens on URLs ask, so that no
/// other app ever sees one.
class UrlScope {
 public:
  virtual ~UrlScope() = default;
  virtual bool leads_here(std::string_view path) const = 0;
  /// The path in the form that routes are matched against; what `leads_here` does with any path, made once.
  virtual std::string as_routed(std::string_view path) const { return std::string(path); }
  /// So many bytes of a path in that form decide where it leads; what is behind them does not matter.
  virtual std::size_t deciding_bytes() const noexcept { return ~std::size_t{0}; }
};

struct RequestView {
  Method method = Method::other;
  std::string_view target, host, path;
  std::span<const Field> fields;
  ClientAddress client;                    // the real one, behind trusted proxies
  bool secure = false;                     // the client came over TLS (or a trusted proxy says so)
  bool preflight = false;                  // a CORS preflight begins no session
  const VerifiedClaims* claims = nullptr;  // null: no JWT was verified
  const UrlScope* scope = nullptr;         // null: every URL of this origin leads here
};

struct ResponseView {
  std::uint16_t status = 0;
  std::span<const Field> fields;
  bool shared_cacheable = false;  // offered to shared caches: a token waits for another one, if it can
  bool has_body = true;
  std::int64_t now = 0;  // seconds since 1970: what lies before it has expired
};

/// Another value for one field of a head; the view lives in the edits' arena.
struct FieldEdit {
  std::size_t index = 0;  // into the view's fields
  std::string_view value;
};

/// What affinity wants changed in the request that the backend sees.
struct RequestEdits {
  explicit RequestEdits(TextArena& a) : arena(a) {}
  TextArena& arena;               // cleared between requests
  std::string_view target;        // empty: as it came
  std::vector<FieldEdit> fields;  // reused
  bool identity_coding = false;   // the response must come uncompressed and whole

  /// By its name, or as a whole as it was sent ("name=value"). `name` lives as long as the exchange.
  void drop_cookie(std::string_view name) {
    for (const std::string_view dropped : cookies_)
      if (dropped == name) return;
    cookies_.push_back(name);
  }
  /// Cookies of ours, never seen by the app.
  std::span<const std::string_view> dropped_cookies() const noexcept { return cookies_; }
  /// Another value for a field that may have been edited before.
  void edit_field(std::size_t index, std::string_view value) {
    for (FieldEdit& e : fields)
      if (e.index == index) {
        e.value = value;
        return;
      }
    fields.push_back({index, value});
  }
  void clear() noexcept {
    target = {};
    fields.clear();
    identity_coding = false;
    cookies_.clear();
  }

 private:
  std::vector<std::string_view> cookies_;  // reused
};

/// Changes a response body on its way, piece by piece.
class BodyRewriter {
 public:
  virtual ~BodyRewriter() = default;
  /// Appends to `out` what can be said so far; with `last`, all of it.
  virtual void feed(std::string_view in, bool last, std::string& out) = 0;
};

/// What affinity wants changed in the response that the client sees.
struct ResponseEdits {
  explicit ResponseEdits(TextArena& a) : arena(a) {}
  TextArena& arena;
  std::string lines;  // to append, each "Name: value\r\n"
  std::vector<FieldEdit> fields;
  bool make_private = false;           // carries a token: no shared cache may keep it
  bool referrer_stays = false;         // Referrer-Policy is settled: no other origin hears the URL
  bool other_body = false;             // length, digests and ranges of the original are not true any more
  bool no_ranges = false;              // Range was taken off the request: nothing may promise it
  std::unique_ptr<BodyRewriter> body;  // null: as it is

  void add(std::string_view name, std::string_view value) {
    lines.append(name).append(": ").append(value).append("\r\n");
  }
  void clear() {
    lines.clear();
    fields.clear();
    make_private = referrer_stays = other_body = no_ranges = false;
    body.reset();
  }
};

/// The field as edited.
inline Field edited(std::span<const FieldEdit> edits, std::size_t index, const Field& original) noexcept {
  for (const FieldEdit& e : edits)
    if (e.index == index) return {original.name, e.value, original.known};
  return original;
}

}  // namespace remora
