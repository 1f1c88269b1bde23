// The grammar of HTTP/1 heads (RFC 9112 3 to 5, RFC 9110 5), strictly: lines to views.
//
// Why not Boost.Beast's `basic_parser`: it looks each field up in a table of its own that nobody here reads,
// copes with lines that come in pieces, which HeadScanner puts together, and took 3,700 of the
// 16,600 instructions of a proxied request; this takes 1,300, its search for lines included. The tests and
// the fuzz target hold it against Beast's: what is accepted here is accepted there, with the same views.
//
// Pure: bytes in, values out. Views point into the bytes that were parsed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// The first byte that may stand in no line: a control but the tab. `end`: there is none.
const char* find_control(const char* at, const char* end) noexcept;

/// What became of a line.
enum class Line : std::uint8_t {
  ok,
  incomplete,
  bare_lf,  // where CRLF should be
  control,  // or a bare CR
  no_field,
};
/// Moves `at` to the CRLF of its line.
Line find_line_end(const char*& at, const char* end) noexcept;

struct RequestLine {
  std::string_view method, target;
  unsigned minor = 1;
};
/// `method SP target SP HTTP/1.minor`. False: it is none. The target is any run of visible bytes. REQUIRES:
/// no control in the line.
bool parse_request_line(std::string_view line, RequestLine& out) noexcept;

struct StatusLine {
  std::uint16_t status = 0;
  std::string_view reason;
  unsigned minor = 1;
};
/// `HTTP/1.minor SP 3DIGIT [SP reason]`: the last space may be missing (RFC 9112 4, and many servers).
bool parse_status_line(std::string_view line, StatusLine& out) noexcept;

/// Parses the line of a field and moves `at` behind its CRLF.
Line parse_field_line(const char*& at, const char* end, Field& out) noexcept;
/// Parses lines that each end in CRLF, behind those in `out`. False: one is no field.
bool parse_field_lines(std::string_view lines, std::vector<Field>& out);

enum class TrailersOf : std::uint8_t { request, response };
/// Parses a block of trailer lines (each ended by CRLF), without the fields that may not stand there: those
/// are ignored (RFC 9110 6.5.1). False: malformed; and in a request, one that speaks of framing or the host,
/// which smugglers send.
bool parse_trailers(std::string_view lines, std::vector<Field>& out, TrailersOf message);
bool frames_or_routes(Known) noexcept;

/// Classifies a field name. REQUIRES: it is a token.
Known known_field(std::string_view name) noexcept;

/// Fields that may not stand in trailers (RFC 9110 6.5.1): framing, routing, authentication.
bool forbidden_in_trailers(Known) noexcept;

}  // namespace remora
