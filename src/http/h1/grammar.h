// The grammar of HTTP/1 heads (RFC 9112 3 to 5, RFC 9110 5), strict: lines to views.
//
// Why not Boost.Beast's `basic_parser`: it looks up each field in a table that remora does not use, handles
// lines split over receives, which HeadScanner does already, and took 3,700 of the 16,600 instructions of a
// proxied request; this takes 1,300, including the search for line ends. Tests and the fuzz target compare
// it with Beast: whatever this accepts, Beast accepts, with the same views.
//
// Pure: bytes in, values out. Views point into the bytes that were parsed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// The first byte not allowed in any line: a control other than tab. `end` if there is none.
const char* find_control(const char* at, const char* end) noexcept;

/// The result of parsing a line.
enum class Line : std::uint8_t {
  ok,
  incomplete,
  bare_lf,  // LF without CR
  control,  // a control character, or a bare CR
  no_field,
};
/// Moves `at` to the CRLF that ends its line.
Line find_line_end(const char*& at, const char* end) noexcept;

struct RequestLine {
  std::string_view method, target;
  unsigned minor = 1;
};
/// Parses `method SP target SP HTTP/1.minor`. False: malformed. The target is any run of visible bytes.
/// REQUIRES: no control in the line.
bool parse_request_line(std::string_view line, RequestLine& out) noexcept;

struct StatusLine {
  std::uint16_t status = 0;
  std::string_view reason;
  unsigned minor = 1;
};
/// Parses `HTTP/1.minor SP 3DIGIT [SP reason]`: the last space may be missing (RFC 9112 4, and many
/// servers).
bool parse_status_line(std::string_view line, StatusLine& out) noexcept;

/// Parses a field line and moves `at` past its CRLF.
Line parse_field_line(const char*& at, const char* end, Field& out) noexcept;
/// Parses field lines that each end in CRLF, and appends to `out`. False: one is malformed.
bool parse_field_lines(std::string_view lines, std::vector<Field>& out);

enum class TrailersOf : std::uint8_t { request, response };
/// Parses a block of trailer lines (each ended by CRLF) and drops forbidden fields (RFC 9110 6.5.1). False:
/// malformed, or a request with a framing or Host field in its trailers, which smugglers send.
bool parse_trailers(std::string_view lines, std::vector<Field>& out, TrailersOf message);
bool frames_or_routes(Known) noexcept;

/// Classifies a field name. REQUIRES: it is a token.
Known known_field(std::string_view name) noexcept;
/// The name of a known field, in lower case; static text. Empty: it has several, or is not known.
std::string_view name_of(Known known) noexcept;

/// Fields not allowed in trailers (RFC 9110 6.5.1): framing, routing, authentication.
bool forbidden_in_trailers(Known) noexcept;

}  // namespace remora
