// Parses a curl command line into the request that curl would send. Pure, except for the files it names
// (cookie jars, headers), which are read through `CurlWorld`.
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
  std::optional<bool> secure;  // none: no scheme, only a path was given
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct CurlWorld {
  /// Returns the content of a file; nothing if it cannot be read.
  std::function<std::optional<std::string>(const std::string& path)> read_file;
  std::int64_t now = 0;  // seconds since 1970; expired cookies are not sent
};

/// `words`: [curl] [options] URL-or-path, or a single word with a whole command line. Throws
/// std::invalid_argument that names what is not supported.
CurlRequest read_curl(std::vector<std::string> words, const CurlWorld& world);

/// Splits a command line like a POSIX shell.
std::vector<std::string> split_like_a_shell(std::string_view line);

/// The cookies in a jar that curl would send, as "a=b; c=d". An empty host matches every domain.
std::string cookies_of_jar(std::string_view jar, std::string_view host, std::string_view path, bool secure,
                           std::int64_t now);

}  // namespace remora
