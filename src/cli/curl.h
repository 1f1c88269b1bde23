// A command line of curl, taken apart: what a request would be that it sends. Pure but for the files that it
// names (cookie jars, headers), which come from `CurlWorld`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora {

struct CurlRequest {
  std::string method;          // empty: GET
  std::optional<bool> secure;  // none: only a path was given
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct CurlWorld {
  /// The content of a file; nothing: it cannot be read.
  std::function<std::optional<std::string>(const std::string& path)> read_file;
  std::int64_t now = 0;  // seconds since 1970; older cookies are not sent
};

/// `words`: [curl] [options] URL-or-path, or one word that holds a whole command line. Throws
/// std::invalid_argument with what cannot be understood.
CurlRequest read_curl(std::vector<std::string> words, const CurlWorld& world);

/// A command line as a POSIX shell would split it.
std::vector<std::string> split_like_a_shell(std::string_view line);

/// The cookies of a jar that curl would send there, "a=b; c=d". An empty host matches every domain.
std::string cookies_of_jar(std::string_view jar, std::string_view host, std::string_view path, bool secure,
                           std::int64_t now);

}  // namespace remora
