// Reads HTTP/1 heads: bytes to an index of views.
//
// h1/grammar.h parses lines and fields; this file finds the lines over several receives and refuses what no
// later step should see; validate.h gives the head its meaning. Pure: bytes in, values out. Views point into
// the bytes that were parsed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "remora/config.h"

namespace remora {

/// How the end of a body is determined (RFC 9112 6.3).
struct Framing {
  enum class Kind : std::uint8_t { none, length, chunked, until_close } kind = Kind::none;
  std::uint64_t length = 0;
};

/// What a head says that concerns this codec alone.
struct Http1Message {
  Framing framing;
  bool keep_alive = true;                            // another message may follow on the connection
  std::optional<std::chrono::seconds> idle_promise;  // responses; see keep_alive.h
};

/// The result of parsing a head.
struct Parsed {
  enum class Status : std::uint8_t { incomplete, ok, refused } status = Status::incomplete;
  std::uint16_t code = 0;  // refused requests: the status of the local reply
  const char* why = "";    // static text for the log
};

/// Splits a head into lines incrementally, over several receives; parses each line once, when it is
/// complete. Refuses what no later step should see: control characters, bare CR, bare LF, folded lines,
/// malformed fields, too many or too long lines.
class HeadScanner {
 public:
  /// Prepares for the next message. Keeps its memory.
  void reset() noexcept;
  /// `bytes` starts at the first byte of the message and contains all bytes of earlier calls, though they
  /// may have moved. ok: the head is the first `end()` bytes, and start_line() and fields() are views into
  /// them.
  Parsed scan(std::string_view bytes, const config::ListenerLimits& limits, bool request);
  std::size_t end() const noexcept { return end_; }
  /// The start line without its CRLF.
  std::string_view start_line() const noexcept { return start_line_; }
  /// Valid once the head is complete; until then the bytes may move.
  std::vector<Field>& fields() noexcept { return fields_; }
  /// Bytes of empty lines before the message, which a server ignores (RFC 9112 2.2).
  std::size_t skipped() const noexcept { return skipped_; }

 private:
  void begin(std::string_view bytes, bool request) noexcept;
  Parsed too_long(std::string_view bytes, const config::ListenerLimits& limits, bool request) const noexcept;

  const char* base_ = nullptr;  // the bytes that the views point into
  std::string_view start_line_;
  std::vector<Field> fields_;
  std::size_t line_ = 0;    // start of the first incomplete line
  std::size_t looked_ = 0;  // bytes before this offset are known to hold no LF of that line
  std::size_t end_ = 0, skipped_ = 0;
};

/// Scans a request's head, and once it is complete, checks it (validate.h).
Parsed read_request_head(HeadScanner&, std::string_view bytes, const config::ListenerLimits& limits,
                         RequestHead& out, Http1Message& message);
/// The same for the response to a request with method `asked`. Any refusal becomes a 502 to the client.
Parsed read_response_head(HeadScanner&, std::string_view bytes, Method asked, ResponseHead& out,
                          Http1Message& message);

/// The same for text that holds a whole head: never `incomplete`.
Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out,
                          Http1Message& message);
Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out);
Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out, Http1Message& message);
Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out);

/// Limits for heads of backends.
const config::ListenerLimits& response_limits() noexcept;

}  // namespace remora
