// Parameters in URLs: finding one, taking it off, putting one on. Pure text; RFC 3986 3.3 and 3.4.
//
// `path` style is a parameter of a path segment (`/a;NAME=VALUE?q`), `query` style one of the query.
#pragma once

#include <string>
#include <string_view>

#include "remora/config.h"
#include "util/arena.h"

namespace remora {

/// A parameter where it stands in a URL; `end == 0`: there is none.
struct UrlParameter {
  std::string_view value;
  std::size_t begin = 0, end = 0;  // of what has to go to be rid of it, separator included
  explicit operator bool() const noexcept { return end != 0; }
};

/// The last parameter of that name (a page may have been reached through several links).
UrlParameter find_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name) noexcept;

/// The URL without all of them; `url` itself when there are none.
std::string_view without_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name,
                                       TextArena& arena);

/// The URL with their values replaced by `***`, for logs.
std::string_view mask_url_parameter(std::string_view url, config::UrlStyle style, std::string_view name,
                                    TextArena& arena);

/// Where in `url` a parameter is to be put, and what has to stand before it (";", "?" or "&").
struct UrlPlace {
  std::size_t at = 0;
  std::string_view separator;
};
UrlPlace place_for_parameter(std::string_view url, config::UrlStyle style) noexcept;

/// Where the requests come from that URLs in a response are seen against.
struct UrlBase {
  bool secure = false;
  std::string_view host;  // with port, as the client sent it
  std::string_view path;  // of the document
};

/// What a URL reference of a response refers to, as far as tokens care.
struct UrlReference {
  enum class Kind {
    elsewhere,   // another origin, another scheme, or nothing that we understand: hands off
    same_origin  // `path` says where
  } kind = Kind::elsewhere;
  std::string path;            // resolved against the base, dot segments not removed
  bool same_document = false;  // empty or only a fragment
  bool query_only = false;     // "?x": the document's own path with another query
};
/// Strict where browsers are lenient: a reference with a backslash, a control character or user information
/// is never ours, because a browser may read it as another origin (WHATWG URL 4.4).
UrlReference classify_reference(std::string_view reference, const UrlBase& base);

}  // namespace remora
