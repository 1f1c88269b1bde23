#include "affinity/url_token.h"

#include "util/text.h"

namespace remora {

using config::UrlStyle;

namespace {

/// Where path, query and fragment begin and end.
struct Parts {
  std::size_t path_begin = 0, path_end = 0, query_begin = 0, query_end = 0;
};

Parts parts_of(std::string_view url) noexcept {
  Parts p;
  // The authority of an absolute or network-path reference is no path.
  const auto hash = std::min(url.find('#'), url.size());
  auto query = std::min(url.substr(0, hash).find('?'), hash);
  const auto slashes = url.substr(0, query).find("//");
  if (slashes != std::string_view::npos && slashes == url.find('/') &&
      (slashes == 0 || url[slashes - 1] == ':'))
    p.path_begin = std::min(url.find('/', slashes + 2), query);
  p.path_end = query;
  p.query_begin = query < hash ? query + 1 : hash;
  p.query_end = hash;
  return p;
}

bool default_port(std::string_view port, bool secure) noexcept {
  return port.empty() || port == (secure ? "443" : "80");
}

struct Authority {
  std::string_view host, port;
};
Authority split(std::string_view text) noexcept {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find(']', colon) != std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool same_authority(std::string_view a, std::string_view b, bool secure) noexcept {
  const Authority x = split(a), y = split(b);
  if (!iequals(x.host, y.host)) return false;
  return x.port == y.port || (default_port(x.port, secure) && default_port(y.port, secure));
}

bool scheme_char(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

}  // namespace

UrlParameter find_url_parameter(std::string_view url, UrlStyle style, std::string_view name) noexcept {
  const Parts p = parts_of(url);
  const bool path = style == UrlStyle::path;
  const std::size_t begin = path ? p.path_begin : p.query_begin, end = path ? p.path_end : p.query_end;
  UrlParameter found;
  for (std::size_t at = begin; at < end;) {
    // `at` is where a parameter's name may begin: after ';' in a path, after '?' or '&' in a query.
    if (path) {
      at = url.find(';', at);
      if (at >= end) break;
      ++at;
    }
    const auto rest = url.substr(at, end - at);
    if (rest.size() > name.size() && rest.substr(0, name.size()) == name && rest[name.size()] == '=') {
      const auto stop = std::min(rest.find_first_of(path ? ";/" : "&"), rest.size());
      found.value = rest.substr(name.size() + 1, stop - name.size() - 1);
      found.begin = at - 1;  // with ';', '?' or '&'
      found.end = at + stop;
      // The first of several in a query: '?' stays, the '&' behind it goes.
      if (!path && url[at - 1] == '?' && found.end < end) {
        found.begin = at;
        ++found.end;
      }
      at += stop;
    }
    if (!path) {
      const auto amp = url.find('&', at);
      if (amp >= end) break;
      at = amp + 1;
    }
  }
  return found;
}

std::string_view without_url_parameter(std::string_view url, UrlStyle style, std::string_view name,
                                       TextArena& arena) {
  constexpr int most = 8;  // more is nobody's link; the rest is treated as what it is, unknown text
  for (int i = 0; i < most; ++i) {
    const UrlParameter p = find_url_parameter(url, style, name);
    if (!p) break;
    url = arena.join(url.substr(0, p.begin), url.substr(p.end));
  }
  return url;
}

std::string_view mask_url_parameter(std::string_view url, UrlStyle style, std::string_view name,
                                    TextArena& arena) {
  // Taken apart from the end: what is masked already is not looked at again.
  std::string_view rest = url, done;
  for (UrlParameter p = find_url_parameter(rest, style, name); p; p = find_url_parameter(rest, style, name)) {
    const auto at = static_cast<std::size_t>(p.value.data() - rest.data());
    done = arena.join("***", rest.substr(at + p.value.size()), done);
    rest = rest.substr(0, at - name.size() - 1);
    done = arena.join(name, "=", done);
  }
  return done.empty() ? url : arena.join(rest, done);
}

UrlPlace place_for_parameter(std::string_view url, UrlStyle style) noexcept {
  const Parts p = parts_of(url);
  if (style == UrlStyle::path) return {p.path_end, ";"};
  if (p.path_end == p.query_end) return {p.path_end, "?"};  // no query yet
  return {p.query_end, p.query_begin == p.query_end ? "" : "&"};
}

UrlReference classify_reference(std::string_view r, const UrlBase& base) {
  UrlReference out;
  const auto stop = std::min(r.find_first_of("?#"), r.size());
  const std::string_view front = r.substr(0, stop);
  for (const char c : r)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return out;
  if (front.find('\\') != std::string_view::npos) return out;

  std::string_view path = front;
  const auto colon = front.find(':');
  if (colon != std::string_view::npos && colon < front.find('/')) {
    // A scheme, or a first segment with a colon; both only matter if it is ours.
    for (const char c : front.substr(0, colon))
      if (!scheme_char(c)) return out;
    if (!iequals(front.substr(0, colon), base.secure ? "https" : "http")) return out;
    path.remove_prefix(colon + 1);
    if (path.substr(0, 2) != "//") return out;
  }
  if (path.substr(0, 2) == "//") {
    path.remove_prefix(2);
    const auto end = std::min(path.find('/'), path.size());
    const std::string_view authority = path.substr(0, end);
    if (authority.find('@') != std::string_view::npos || !same_authority(authority, base.host, base.secure))
      return out;
    path.remove_prefix(end);
    out.path = path.empty() ? "/" : std::string(path);
  } else if (path.empty()) {
    out.query_only = stop < r.size() && r[stop] == '?';
    out.same_document = !out.query_only;
    out.path = base.path;
  } else if (path.front() == '/') {
    out.path = path;
  } else {
    out.path = std::string(base.path.substr(0, base.path.rfind('/') + 1)).append(path);
  }
  out.kind = UrlReference::Kind::same_origin;
  return out;
}

}  // namespace remora
