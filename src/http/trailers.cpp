#include "http/trailers.h"

#include <algorithm>

#include "http/client_fields.h"
#include "http/h1/grammar.h"
#include "util/text.h"

namespace remora {

namespace {

template <std::size_t n>
bool one_of(std::string_view name, const std::string_view (&list)[n]) noexcept {
  return std::any_of(std::begin(list), std::end(list), [&](std::string_view s) { return iequals(s, name); });
}
template <std::size_t n>
bool begins_with_one_of(std::string_view name, const std::string_view (&list)[n]) noexcept {
  return std::any_of(std::begin(list), std::end(list),
                     [&](std::string_view s) { return istarts_with(name, s); });
}
bool iends_with(std::string_view name, std::string_view end) noexcept {
  return name.size() > end.size() && iequals(name.substr(name.size() - end.size()), end);
}

bool plain(std::string_view name) noexcept {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

constexpr std::string_view harmless[] = {
    "grpc-status",   "grpc-message",   "grpc-status-details-bin",
    "server-timing", "content-digest", "repr-digest",
    "digest",        "content-md5",    "x-sum",
    "x-goog-hash",   "x-content-hash",
};
constexpr std::string_view harmless_begin[] = {"x-checksum-", "x-amz-checksum-"};
// Apps' own checksum names: X-Request-Sum, X-Body-Checksum.
constexpr std::string_view harmless_end[] = {"-sum", "-checksum", "-digest", "-crc32", "-crc32c"};

constexpr std::string_view never[] = {
    // Who the client is, and the original request
    "authorization",
    "www-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "origin",
    "referer",
    "referrer-policy",
    "user-agent",
    "from",
    "via",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-host",
    "x-cluster-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "true-client-ip",
    "client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "front-end-https",
    "proxy",
    "http2-settings",
    "early-data",
    "alt-svc",
    "alt-used",
    // Preferences and conditions of the request
    "pragma",
    "prefer",
    "priority",
    "accept-ranges",
    "access-control-request-method",
    "traceparent",
    "tracestate",
    "baggage",
    "dnt",
    "origin-agent-cluster",
    "upgrade-insecure-requests",
    "x-requested-with",
    "x-csrf-token",
    "x-xsrf-token",
    // Content metadata, caching, security policy
    "age",
    "allow",
    "expires",
    "last-modified",
    "vary",
    "warning",
    "status",
    "server",
    "nel",
    "report-to",
    "strict-transport-security",
    "clear-site-data",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "x-powered-by",
    "set-cookie2",
    "cookie2",
    "sourcemap",
    "service-worker-allowed",
    "surrogate-control",
    "cdn-cache-control",
    "permissions-policy",
    "feature-policy",
    "timing-allow-origin",
    "large-allocation",
    "expect-ct",
    "public-key-pins",
    "x-dns-prefetch-control",
    "x-ua-compatible",
    "x-accel-redirect",
    "x-accel-buffering",
    "x-accel-expires",
    "x-sendfile",
    "x-cache",
};
// What no metadata of gRPC may be, in any spelling that an app could take for it.
constexpr std::string_view never_in_grpc[] = {
    "authorization",
    "www-authenticate",
    "authentication-info",
    "set-cookie2",
    "cookie2",
    "http2-settings",
    "alt-svc",
    "alt-used",
    "location",
    "refresh",
    "link",
    "age",
    "etag",
    "expires",
    "last-modified",
    "pragma",
    "vary",
    "warning",
    "surrogate-control",
    "cdn-cache-control",
    "clear-site-data",
    "strict-transport-security",
    "server",
    "x-sendfile",
};
constexpr std::string_view never_in_grpc_begin[] = {
    "proxy-", "content-", "access-control-", "sec-", "if-", "accept-", "x-accel-", "x-forwarded", "remora-",
};

/// Lower-case letters, digits and `_-.` (doc/PROTOCOL-HTTP2.md, Custom-Metadata).
bool is_metadata(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

constexpr std::string_view never_begin[] = {
    "x-forwarded", "x-auth",        "x-user",  "x-remote", "x-ssl",  "x-client",
    "x-original",  "x-envoy",       "remote-", "ssl-",     "accept", "access-control-",
    "content-",    "cross-origin-", "if-",     "proxy-",   "sec-",
};

}  // namespace

bool always_a_trailer(std::string_view name) noexcept {
  if (one_of(name, harmless) || begins_with_one_of(name, harmless_begin)) return plain(name);
  return plain(name) && istarts_with(name, "x-") && !begins_with_one_of(name, never_begin) &&
         std::any_of(std::begin(harmless_end), std::end(harmless_end),
                     [&](std::string_view end) { return iends_with(name, end); });
}

bool never_a_trailer(std::string_view name) noexcept {
  if (always_a_trailer(name)) return false;
  return !plain(name) || known_field(name) != Known::other || one_of(name, never) ||
         begins_with_one_of(name, never_begin) || tells_of_the_client(name);
}

bool may_be_grpc_trailer(const Field& field) noexcept {
  const std::string_view name = field.name;
  const bool known = field.known != Known::other && field.known != Known::x_request_id;
  if (known || !is_metadata(name)) return false;
  const auto is = [&](std::string_view other) { return same_to_apps(name, other); };
  const auto begins = [&](std::string_view other) { return begins_like(name, other); };
  return std::none_of(std::begin(never_in_grpc), std::end(never_in_grpc), is) &&
         std::none_of(std::begin(never_in_grpc_begin), std::end(never_in_grpc_begin), begins) &&
         !tells_of_the_client(name);
}

bool may_be_trailer(const Field& field, std::string_view announced) noexcept {
  if (field.known == Known::remora) return false;
  if (always_a_trailer(field.name)) return true;
  bool found = false;
  for_each_token(announced, [&](std::string_view name) {
    found = iequals(name, field.name);
    return !found;
  });
  return found;
}

}  // namespace remora
