// Parameters in URLs: finding, removing and adding one. Pure text; RFC 3986 3.3 and 3.4.
//
// `path` style is a parameter of a path segment (`/a;NAME=VALUE?q`), `query` style one of the query.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "remora/affinity_kind.h"
#include "util/arena.h"

namespace remora {

/// A parameter found in a URL.
struct UrlParameter {
  std::string_view value;
  bool found = false;
  explicit operator bool() const noexcept { return found; }
};

/// Whether `//a` begins with a host (in a reference, RFC 3986 4.2) or is a path (in a request target).
enum class UrlForm : std::uint8_t { reference, target };

/// The last parameter of that name: a page may have been reached through several links.
UrlParameter find_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name,
                                UrlForm form = UrlForm::reference) noexcept;

// These take request targets and absolute URLs: a URL that begins with a slash is a path. Each makes one pass
// over the URL and at most one copy of it.

/// The URL without all parameters of that name; `url` itself if there are none.
std::string_view without_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name,
                                       TextArena& arena);
/// The URL without parameters of these names whose value has the form of a sealed token (affinity/seal.h).
std::string_view without_url_tokens(std::string_view url, std::span<const UrlSecret> names, TextArena& arena);

/// The URL with the values of these parameters replaced by `***`, for logs.
std::string_view mask_url_parameters(std::string_view url, std::span<const UrlSecret> names,
                                     TextArena& arena);
std::string_view mask_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name,
                                    TextArena& arena);

/// Where to insert a parameter in `url`, and what to put before it (";", "?" or "&").
struct UrlPlace {
  std::size_t at = 0;
  std::string_view separator;
};
UrlPlace place_for_parameter(std::string_view url, config::UrlStyle style) noexcept;

/// The origin that URLs in a response are compared with.
struct UrlBase {
  bool secure = false;
  std::string_view host;  // with port, as the client sent it
};

/// What a URL reference in a response refers to, as far as tokens matter.
struct UrlReference {
  enum class Kind {
    elsewhere,   // another origin or scheme, or not understood: leave it alone
    same_origin  // a relative reference: if its base is
  } kind = Kind::elsewhere;
  enum class Form {
    absolute,      // names our origin: "http://h/a", "//h/a"
    rooted,        // "/a"
    relative,      // "a", "../a"
    query_only,    // "?x": the document's own path with another query
    same_document  // empty or only a fragment
  } form = Form::same_document;
  std::string_view path;  // of the reference; "/" for an absolute one without a path
};
/// Stricter than browsers: a reference with a backslash, a control character, user information or an empty
/// host is never ours, because a browser may read it as another origin (WHATWG URL 4.4).
UrlReference classify_reference(std::string_view reference, const UrlBase& base) noexcept;

/// Whether a browser reads a text with this beginning as `//host`. Such a path cannot be written as a
/// reference.
constexpr bool begins_with_host(std::string_view reference) noexcept {
  const auto slash = [](char c) { return c == '/' || c == '\\'; };
  return reference.size() >= 2 && slash(reference[0]) && slash(reference[1]);
}

/// Whether the last segment of a path is `.` or `..`, escaped or not. Text appended to it needs a slash
/// before.
bool ends_in_dots(std::string_view path) noexcept;
/// 1 for `.`, 2 for `..`, escaped or not; else 0.
int dots(std::string_view segment) noexcept;

}  // namespace remora
