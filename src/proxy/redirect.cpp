#include "proxy/redirect.h"

#include "affinity/url_token.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

std::string_view default_port(std::string_view scheme) noexcept {
  return scheme == "https" ? "443" : "80";
}

/// True: the text that follows `url` would be its authority, and its scheme is `scheme` (or it has none).
bool begins_authority(std::string_view url, std::string_view scheme) noexcept {
  const auto slashes = url.rfind("//");
  if (slashes == std::string_view::npos) return false;
  if (url.find_first_of("/?#", slashes + 2) != std::string_view::npos) return false;
  if (slashes == 0) return true;
  if (url[slashes - 1] != ':' || slashes - 1 < scheme.size()) return false;
  return iequals(url.substr(slashes - 1 - scheme.size(), scheme.size()), scheme);
}

/// One request's values.
struct Values {
  std::string_view scheme, authority, name, port, uri, path, query;

  /// Appends the value of `word`; `rest` is the template after it. False: the value needs a host, and there
  /// is none.
  bool append(std::string_view word, std::string_view rest, std::string& out) const {
    if (word == "host") {
      const bool with_port = !port.empty() && port != default_port(scheme) && !rest.starts_with(':') &&
                             begins_authority(out, scheme);
      out.append(name);
      if (with_port) out.append(":").append(port);
      return !name.empty();
    }
    if (word == "authority") {
      out.append(authority);
      return !name.empty();
    }
    out.append(word == "scheme"  ? scheme
               : word == "port"  ? (port.empty() ? default_port(scheme) : port)
               : word == "uri"   ? uri
               : word == "path"  ? path
               : word == "query" ? query
                                 : std::string_view());
    return true;
  }
};

bool is_value(std::string_view word) noexcept {
  for (const std::string_view known : {"scheme", "host", "port", "authority", "uri", "path", "query"})
    if (word == known) return true;
  return false;
}

}  // namespace

std::string expand_redirect(std::string_view to, std::string_view scheme, std::string_view host,
                            std::string_view uri, std::string_view path, std::string_view query) {
  const Values values{scheme, host, host_name(host), host_port(host), uri, path, query};
  std::string out;
  const bool begins_with_path = to.starts_with("{path}") || to.starts_with("{uri}");
  while (!to.empty()) {
    const auto open = to.find('{');
    out.append(to.substr(0, open));
    if (open == std::string_view::npos) break;
    const auto close = to.find('}', open);
    const std::string_view word =
        close == std::string_view::npos ? std::string_view() : to.substr(open + 1, close - open - 1);
    if (!is_value(word)) {
      out += '{';
      to.remove_prefix(open + 1);
      continue;
    }
    to.remove_prefix(close + 1);
    if (!values.append(word, to, out)) return {};
  }
  // A path that begins with two slashes would be parsed as another host.
  if (begins_with_path && begins_with_host(out)) out.insert(0, "/.");
  return out;
}

RedirectReply redirect_reply(const config::Redirect& redirect, const RequestHead& head, bool secure) {
  const bool asterisk = head.path == "*";
  RedirectReply reply{redirect.status,
                      expand_redirect(redirect.to, secure ? "https" : "http", head.host,
                                      asterisk ? "/" : head.target, asterisk ? "/" : head.path, head.query)};
  if (reply.location.empty()) reply.status = 400;
  return reply;
}

}  // namespace remora
