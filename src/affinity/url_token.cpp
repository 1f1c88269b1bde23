#include "affinity/url_token.h"

#include <algorithm>
#include <utility>

#include "affinity/seal.h"
#include "util/text.h"

namespace remora {

using config::UrlStyle;

namespace {

/// Where path and query begin and end.
struct Parts {
  std::size_t path_begin = 0, path_end = 0, query_begin = 0, query_end = 0;
};

Parts parts_of(std::string_view url, UrlForm form) noexcept {
  Parts p;
  const auto hash = std::min(url.find('#'), url.size());
  const auto query = std::min(url.substr(0, hash).find('?'), hash);
  if (form == UrlForm::reference || url.empty() || url.front() != '/') {
    // The authority of an absolute or network-path reference is not part of the path.
    const auto slashes = url.substr(0, query).find("//");
    if (slashes != std::string_view::npos && slashes == url.find('/') &&
        (slashes == 0 || url[slashes - 1] == ':'))
      p.path_begin = std::min(url.find('/', slashes + 2), query);
  }
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
  Authority x = split(a), y = split(b);
  for (Authority* const one : {&x, &y})  // RFC 3986 3.2.2: a final dot does not change the name
    if (one->host.size() > 1 && one->host.back() == '.') one->host.remove_suffix(1);
  if (!iequals(x.host, y.host)) return false;
  return x.port == y.port || (default_port(x.port, secure) && default_port(y.port, secure));
}

/// Calls `f(style, begin, end)` with each parameter, from the beginning: `begin` is where its name may begin
/// (after ';' in the path, after '?' or '&' in the query), `end` where its value ends.
template <class F>
void for_each_parameter(std::string_view url, const Parts& p, F f) {
  const std::string_view path = url.substr(0, p.path_end), query = url.substr(0, p.query_end);
  for (auto at = path.find(';', p.path_begin); at != std::string_view::npos;) {
    const auto end = std::min(path.find_first_of(";/", at + 1), path.size());
    f(UrlStyle::path, at + 1, end);
    at = end < path.size() && path[end] == ';' ? end : path.find(';', end);
  }
  if (p.query_begin >= p.query_end) return;
  for (std::size_t at = p.query_begin;;) {
    const auto end = std::min(query.find('&', at), query.size());
    f(UrlStyle::query, at, end);
    if (end == query.size()) return;
    at = end + 1;
  }
}

bool has_name(std::string_view parameter, std::string_view name) noexcept {
  return parameter.size() > name.size() && parameter[name.size()] == '=' && parameter.starts_with(name);
}

/// A URL that is copied only if something changes.
class Edited {
 public:
  Edited(std::string_view url, TextArena& arena) : url_(url), arena_(arena) {}
  /// REQUIRES: `from` is not before the previous `to`.
  void replace(std::size_t from, std::size_t to, std::string_view text) {
    if (out_ == nullptr) out_ = &arena_.scratch();
    out_->append(url_.substr(copied_, from - copied_)).append(text);
    copied_ = to;
  }
  std::string_view result() {
    if (out_ == nullptr) return url_;
    out_->append(url_.substr(copied_));
    return arena_.join(*out_);
  }

 private:
  const std::string_view url_;
  TextArena& arena_;
  std::string* out_ = nullptr;
  std::size_t copied_ = 0;
};

/// The URL without the parameters for which `drop(style, parameter)` is true.
template <class F>
std::string_view without(std::string_view url, TextArena& arena, F drop) {
  Edited out(url, arena);
  bool mark_dropped = false;  // the '?' was removed with the first parameter: the next one's '&' becomes '?'
  for_each_parameter(url, parts_of(url, UrlForm::target),
                     [&](UrlStyle style, std::size_t at, std::size_t end) {
                       const bool query = style == UrlStyle::query;
                       if (drop(style, url.substr(at, end - at))) {
                         mark_dropped = mark_dropped || (query && url[at - 1] == '?');
                         out.replace(at - 1, end, {});
                       } else if (query && std::exchange(mark_dropped, false)) {
                         out.replace(at - 1, at, "?");
                       }
                     });
  return out.result();
}

/// The URL with `***` for the values of the parameters for which `secret(style, parameter)` is true.
template <class F>
std::string_view mask(std::string_view url, TextArena& arena, F secret) {
  Edited out(url, arena);
  for_each_parameter(url, parts_of(url, UrlForm::target),
                     [&](UrlStyle style, std::size_t at, std::size_t end) {
                       const std::string_view parameter = url.substr(at, end - at);
                       if (secret(style, parameter)) out.replace(at + parameter.find('=') + 1, end, "***");
                     });
  return out.result();
}

bool is_one_of(std::span<const UrlSecret> names, UrlStyle style, std::string_view parameter) noexcept {
  return std::any_of(names.begin(), names.end(),
                     [&](const UrlSecret& s) { return s.style == style && has_name(parameter, s.name); });
}

}  // namespace

UrlParameter find_url_parameter(std::string_view url, UrlStyle style, std::string_view name,
                                UrlForm form) noexcept {
  UrlParameter found;
  for_each_parameter(url, parts_of(url, form), [&](UrlStyle where, std::size_t at, std::size_t end) {
    if (where == style && has_name(url.substr(at, end - at), name))
      found = {url.substr(at + name.size() + 1, end - at - name.size() - 1), true};
  });
  return found;
}

std::string_view without_url_parameter(std::string_view url, UrlStyle style, std::string_view name,
                                       TextArena& arena) {
  return without(url, arena, [&](UrlStyle where, std::string_view parameter) {
    return where == style && has_name(parameter, name);
  });
}

std::string_view without_url_tokens(std::string_view url, std::span<const UrlSecret> names,
                                    TextArena& arena) {
  return without(url, arena, [&](UrlStyle style, std::string_view parameter) {
    return is_one_of(names, style, parameter) && has_token_form(parameter.substr(parameter.find('=') + 1));
  });
}

std::string_view mask_url_parameters(std::string_view url, std::span<const UrlSecret> names,
                                     TextArena& arena) {
  if (names.empty()) return url;
  return mask(url, arena,
              [&](UrlStyle style, std::string_view parameter) { return is_one_of(names, style, parameter); });
}

std::string_view mask_url_parameter(std::string_view url, UrlStyle style, std::string_view name,
                                    TextArena& arena) {
  return mask(url, arena, [&](UrlStyle where, std::string_view parameter) {
    return where == style && has_name(parameter, name);
  });
}

UrlPlace place_for_parameter(std::string_view url, UrlStyle style) noexcept {
  const Parts p = parts_of(url, UrlForm::reference);
  if (style == UrlStyle::path) return {p.path_end, ";"};
  if (p.path_end == p.query_end) return {p.path_end, "?"};  // no query yet
  return {p.query_end, p.query_begin == p.query_end ? "" : "&"};
}

UrlReference classify_reference(std::string_view r, const UrlBase& base) noexcept {
  using Form = UrlReference::Form;
  UrlReference out;
  const auto stop = std::min(r.find_first_of("?#"), r.size());
  const std::string_view front = r.substr(0, stop);
  for (const char c : r)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return out;
  if (front.find('\\') != std::string_view::npos) return out;

  out.path = front;
  const auto colon = front.find(':');
  if (colon != std::string_view::npos && colon < front.find('/')) {
    // A scheme, or a first segment with a colon. Only our own scheme matters.
    if (!iequals(front.substr(0, colon), base.secure ? "https" : "http")) return out;
    out.path.remove_prefix(colon + 1);
    if (!out.path.starts_with("//")) return out;
  }
  if (out.path.starts_with("//")) {
    out.path.remove_prefix(2);
    const auto end = std::min(out.path.find('/'), out.path.size());
    const std::string_view authority = out.path.substr(0, end);
    // Browsers take any number of slashes before the host: "///h" names the host `h`.
    if (authority.empty() || authority.find('@') != std::string_view::npos ||
        !same_authority(authority, base.host, base.secure))
      return out;
    out.path.remove_prefix(end);
    if (out.path.empty()) out.path = "/";
    out.form = Form::absolute;
  } else if (front.empty()) {
    out.form = stop < r.size() && r[stop] == '?' ? Form::query_only : Form::same_document;
  } else {
    out.form = front.front() == '/' ? Form::rooted : Form::relative;
  }
  out.kind = UrlReference::Kind::same_origin;
  return out;
}

int dots(std::string_view segment) noexcept {
  int count = 0;
  while (!segment.empty() && count < 3) {
    const bool escaped = istarts_with(segment, "%2e");
    if (!escaped && segment.front() != '.') return 0;
    segment.remove_prefix(escaped ? 3 : 1);
    ++count;
  }
  return count < 3 ? count : 0;
}

bool ends_in_dots(std::string_view path) noexcept {
  return dots(path.substr(path.rfind('/') + 1)) > 0;
}

}  // namespace remora
