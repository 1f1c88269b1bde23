#include "http/client_fields.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {

constexpr std::string_view beginnings[] = {
    "x-forwarded-", "x-original-", "x-client-cert", "client-cert",       "x-ssl-client",
    "ssl-client",   "x-amzn-mtls", "x-arr-",        "http-x-forwarded-",  // some Java apps look for this name
};

constexpr std::string_view names[] = {
    // The client: proxies, load balancers, CDNs, and names that old code looks for
    "forwarded",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-client-addr",
    "x-client-verify",
    "client-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "remote-addr",
    "x-originating-ip",
    "x-proxyuser-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "http-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fly-client-ip",
    "do-connecting-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-appengine-user-ip",
    "x-envoy-external-address",
    "x-vercel-forwarded-for",
    "x-nf-client-connection-ip",
    "cloudfront-viewer-address",
    "ali-cdn-real-ip",
    "cdn-src-ip",
    "incap-client-ip",
    "x-sucuri-clientip",
    "remote-user",
    "x-remote-user",
    // The scheme
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "cloudfront-forwarded-proto",
    "cf-visitor",
    "fastly-ssl",
    "wl-proxy-ssl",
    // The original URL and host
    "x-rewrite-url",
    "x-host",
    "x-http-host-override",
};

constexpr std::string_view httpoxy = "proxy";

}  // namespace

const std::array<std::uint64_t, 16> detail::client_field_beginnings = [] {
  std::array<std::uint64_t, 16> set{};
  const auto add = [&](char first, char second) {
    const unsigned hash =
        (static_cast<unsigned char>(first) & 31U) << 5 | (static_cast<unsigned char>(second) & 31U);
    set[hash >> 6] |= std::uint64_t{1} << (hash & 63U);
  };
  const auto add_name = [&](std::string_view name) {
    if (name[1] != '-') return add(name[0], name[1]);
    for (unsigned c = 1; c < 0x80; ++c)  // every character that apps read as a hyphen
      if (!is_alphanumeric(static_cast<char>(c)) && is_token_char(static_cast<char>(c)))
        add(name[0], static_cast<char>(c));
  };
  for (const std::string_view name : beginnings) add_name(name);
  for (const std::string_view name : names) add_name(name);
  add_name(httpoxy);
  return set;
}();

bool begins_like(std::string_view name, std::string_view beginning) noexcept {
  return name.size() >= beginning.size() && same_to_apps(name.substr(0, beginning.size()), beginning);
}

bool tells_of_the_client(std::string_view name) noexcept {
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view b) { return begins_like(name, b); }) ||
         std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view n) { return same_to_apps(name, n); });
}

bool is_httpoxy(std::string_view name) noexcept {
  return same_to_apps(name, httpoxy);
}

}  // namespace remora
