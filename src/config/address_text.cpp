#include "config/address_text.h"

#include <algorithm>

#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!istarts_with(text, prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// True if the authority ends in a port.
bool has_port(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string with_port(std::string_view host) {
  const bool bare_v6 = host.find(':') != std::string_view::npos && host.front() != '[';
  return bare_v6 ? "[" + std::string(host) + "]" : std::string(host);
}

std::string hint_for_url(std::string_view rest, bool secure) {
  if (rest.find('@') != std::string_view::npos) return "; an address holds no user";
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  std::string plain(authority);
  if (!has_port(authority)) plain += secure ? ":443" : ":80";
  std::string out = "; write " + plain;
  if (secure) out += " and `tls: on` in the pool (`tls: {certificates: ...}` in a listener)";
  if (authority.size() + 1 < rest.size()) out += "; an address has no path, routes choose by it";
  return out;
}

}  // namespace

std::string plain_address(std::string_view text) {
  std::string_view rest = text;
  if (take_prefix(rest, "unix://")) return "unix:" + std::string(rest);
  const bool http = take_prefix(rest, "http://");
  if (!http && !take_prefix(rest, "tcp://")) return std::string(text);
  if (rest.starts_with("unix:")) return std::string(rest);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@") != std::string_view::npos) return std::string(text);
  return std::string(rest) + (http && !has_port(rest) ? ":80" : "");
}

std::string address_hint(std::string_view text) {
  std::string_view rest = text;
  if (take_prefix(rest, "https://")) return hint_for_url(rest, true);
  if (take_prefix(rest, "http://")) return hint_for_url(rest, false);
  if (rest.find("://") != std::string_view::npos) return "; an address has no scheme";
  if (rest.find('@') != std::string_view::npos) return "; an address holds no user";
  if (rest.front() == '/') return "; a unix socket is written unix:" + std::string(rest);
  if (const auto slash = rest.find('/'); slash != std::string_view::npos)
    return "; an address has no path: write " + std::string(rest.substr(0, slash));
  if (all_digits(rest))
    return "; a host is missing: 127.0.0.1:" + std::string(rest) + ", or 0.0.0.0:" + std::string(rest) +
           " for every IPv4 address";
  if (rest.front() == ':' && all_digits(rest.substr(1)))
    return "; a host is missing: 127.0.0.1" + std::string(rest) + ", or 0.0.0.0" + std::string(rest) +
           " for every IPv4 address";
  if (rest.starts_with("*:"))
    return "; every IPv4 address is 0.0.0.0" + std::string(rest.substr(1)) + ", every IPv6 one [::]" +
           std::string(rest.substr(1));
  const std::string_view inner =
      rest.front() == '[' && rest.back() == ']' ? rest.substr(1, rest.size() - 2) : rest;
  if (parse_ip(inner) || (!has_port(rest) && rest.find(':') == std::string_view::npos))
    return "; a port is missing: " + with_port(rest) + ":8080, say";
  if (rest.front() != '[' && std::count(rest.begin(), rest.end(), ':') > 1) {
    const auto colon = rest.rfind(':');
    return "; an IPv6 address stands in brackets: \"[" + std::string(rest.substr(0, colon)) + "]" +
           std::string(rest.substr(colon)) + "\"";
  }
  return "";
}

}  // namespace remora::config
