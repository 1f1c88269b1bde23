// What the rest of remora sees of a request or a response: borrowed views, without the protocol.
//
// Every string_view points into a receive buffer that the exchange holds; it is valid until the exchange
// ends. Nothing here parses or allocates.
#pragma once

#include <algorithm>
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

/// The fields that remora itself handles. Everything else is `other` and passes through.
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
  remora,  // any Remora-* field, in any letter case and with `_` for `-`
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
  /// A hint from a codec's reader to the same codec's writer; all others ignore it. HTTP/1: the views lie in
  /// one line "name: value\r\n", just as it would be written, so that adjacent lines are copied as one block.
  bool verbatim = false;
  /// The name contains more than letters, digits and hyphens: `_`, for example, which CGI treats as a hyphen.
  bool odd_name = false;
};

enum class Method : std::uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };

/// RFC 9110 9.2.2: a repeated idempotent request has the effect of one.
constexpr bool idempotent(Method m) noexcept {
  return m == Method::get || m == Method::head || m == Method::put || m == Method::delete_ ||
         m == Method::options || m == Method::trace;
}

/// An address as 16 bytes (IPv4 as v4-mapped IPv6), so that one comparison serves both families. The peer of
/// a unix socket is all zero, which means unknown: no host has the address `::`.
struct ClientAddress {
  /// The prefix of v4-mapped addresses (RFC 4291 2.5.5.2).
  static constexpr std::uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::uint8_t bytes[16] = {};
  std::uint16_t port = 0;
  bool is_v4() const noexcept;
  bool is_unknown() const noexcept;
  /// Writes the address as text, without port (`unknown`: RFC 7239 6.2); at most 45 characters. Returns the
  /// length.
  std::size_t format(char* out) const noexcept;
  std::string text() const;
};

/// The claims of a verified JWT: the interface between verification and affinity.
class VerifiedClaims {
 public:
  virtual ~VerifiedClaims() = default;
  /// A claim as text (strings without quotes, integers in decimal, true or false), if `verifier` accepted
  /// this request's JWT.
  virtual std::optional<std::string_view> find(std::string_view verifier,
                                               std::string_view claim) const noexcept = 0;
};

/// Which URLs lead back to the pool that serves this request. Kinds that put tokens on URLs ask it, so that
/// no other app ever sees a token.
class UrlScope {
 public:
  virtual ~UrlScope() = default;
  virtual bool leads_here(std::string_view path) const = 0;
  /// The path in the form that routes match. `leads_here` makes it for each path; a caller can make it once.
  virtual std::string as_routed(std::string_view path) const { return std::string(path); }
  /// How many bytes of a path in that form decide where it leads. The rest does not matter.
  virtual std::size_t deciding_bytes() const noexcept { return ~std::size_t{0}; }
};

struct RequestView {
  Method method = Method::other;
  std::string_view target, host, path;
  std::string_view route_path;  // the path as routes match it: harmless escapes decoded, no dot segments
  std::span<const Field> fields;
  ClientAddress client;                    // the real client, behind trusted proxies
  bool secure = false;                     // the client came over TLS (or a trusted proxy says so)
  bool preflight = false;                  // a CORS preflight, which begins no session
  const VerifiedClaims* claims = nullptr;  // null: no JWT was verified
  const UrlScope* scope = nullptr;         // null: every URL of this origin leads here
};

struct ResponseView {
  std::uint16_t status = 0;
  std::span<const Field> fields;
  bool shared_cacheable = false;  // shared caches may keep it: a token waits for another response if it can
  bool has_body = true;
  std::int64_t now = 0;  // seconds since 1970, to judge expiry dates
};

/// A new value for one field of a head. The view lives in the edits' arena.
struct FieldEdit {
  std::size_t index = 0;  // into the view's fields
  std::string_view value;
};

/// Changes by affinity to the request that the backend sees.
struct RequestEdits {
  explicit RequestEdits(TextArena& a) : arena(a) {}
  TextArena& arena;               // cleared between requests
  std::string_view target;        // empty: unchanged
  std::vector<FieldEdit> fields;  // its memory is reused
  bool identity_coding = false;   // the response must come uncompressed and whole

  /// Drops a cookie by name, or one pair as it was sent ("name=value"). `name` must live as long as the
  /// exchange.
  void drop_cookie(std::string_view name) {
    for (const std::string_view dropped : cookies_)
      if (dropped == name) return;
    cookies_.push_back(name);
  }
  /// Drops a field, by its index into the view's fields.
  void drop_field(std::size_t index) {
    const auto at = std::lower_bound(dropped_fields_.begin(), dropped_fields_.end(), index);
    if (at == dropped_fields_.end() || *at != index) dropped_fields_.insert(at, index);
  }
  bool drops_field(std::size_t index) const noexcept {
    return std::binary_search(dropped_fields_.begin(), dropped_fields_.end(), index);
  }
  /// Cookies of ours, which the app never sees.
  std::span<const std::string_view> dropped_cookies() const noexcept { return cookies_; }
  /// Sets a field's value. The field may have been edited before.
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
    dropped_fields_.clear();
  }

 private:
  std::vector<std::string_view> cookies_;    // its memory is reused, as that of the next
  std::vector<std::size_t> dropped_fields_;  // indexes, ascending
};

/// Rewrites a response body, piece by piece.
class BodyRewriter {
 public:
  virtual ~BodyRewriter() = default;
  /// Appends to `out` what is final so far; with `last`, everything.
  virtual void feed(std::string_view in, bool last, std::string& out) = 0;
};

/// Changes by affinity to the response that the client sees.
struct ResponseEdits {
  explicit ResponseEdits(TextArena& a) : arena(a) {}
  TextArena& arena;
  std::vector<Field> added;  // fields to append, with texts in the arena; its memory is reused
  std::vector<FieldEdit> fields;
  bool make_private = false;    // the response carries a token: no shared cache may keep it
  bool referrer_stays = false;  // Referrer-Policy is set so that the URL goes to no other origin
  bool other_body = false;      // the body changes: length, digests and ranges of the original no longer hold
  bool no_ranges = false;       // Range was removed from the request: the response must not offer ranges
  std::unique_ptr<BodyRewriter> body;  // null: unchanged

  /// Appends a field. Its views must live as long as the exchange: in the arena, or the configuration's.
  void add(std::string_view name, std::string_view value, Known known = Known::other) {
    added.push_back({name, value, known});
  }
  void clear() {
    added.clear();
    fields.clear();
    make_private = referrer_stays = other_body = no_ranges = false;
    body.reset();
  }
};

/// The field with its edit applied.
inline Field edited(std::span<const FieldEdit> edits, std::size_t index, const Field& original) noexcept {
  for (const FieldEdit& e : edits)
    if (e.index == index) return {original.name, e.value, original.known};
  return original;
}

}  // namespace remora
