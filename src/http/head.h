// The head of a request or response as an index of views, and the rules that decide what it means.
//
// The grammar of lines and fields is grammar.h's; what is refused although it is well formed (ambiguous
// framing, folds, missing or double Host, odd targets) is refused here. Pure: bytes in, values out. Views
// point into the bytes that were parsed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

/// How the end of a body is known (RFC 9112 6.3).
struct Framing {
  enum class Kind : std::uint8_t { none, length, chunked, until_close } kind = Kind::none;
  std::uint64_t length = 0;
};

/// Fields shared by both heads. Reused from message to message, so that parsing allocates nothing.
struct Head {
  std::vector<Field> fields;
  unsigned minor = 1;  // HTTP/1.minor
  Framing framing;
  bool keep_alive = true;
  std::size_t bytes = 0;  // of the head as received
  /// The value of the only (or first) field of that kind, or nullptr.
  const Field* find(Known) const noexcept;
};

struct RequestHead : Head {
  std::string_view method_text, target;
  Method method = Method::other;
  std::string_view host;   // authority as sent: Host, or the absolute target's
  std::string_view path;   // up to `?`, as sent
  std::string_view query;  // after `?`
  std::string route_path;  // decoded where harmless, dot segments removed: what routes match
  std::string rooted;      // the target, where it came without a path (`http://a?x`)
  bool upgrade = false;    // Connection: upgrade with an Upgrade field
  bool expect_continue = false;
  bool connection_auth = false;  // credentials that count for the connection (connection_auth.h)
};

struct ResponseHead : Head {
  std::uint16_t status = 0;
  std::string_view reason;
  bool upgrade = false;
  /// Content-Length may not stand in it, or says nothing: it is not sent on.
  bool drops_length = false;
  std::optional<std::chrono::seconds> idle_promise;  // see keep_alive.h
};

/// What came of a try to parse a head.
struct Parsed {
  enum class Status : std::uint8_t { incomplete, ok, refused } status = Status::incomplete;
  std::uint16_t code = 0;  // for a refused request: the status to answer
  const char* why = "";    // for the log; static text
};

/// Takes a head apart as it comes, across several receives: each line once, when all of it is there. Refuses
/// what no later step should see: control characters, bare CR, bare LF, folded lines, lines that are no
/// fields, too many or too long lines.
class HeadScanner {
 public:
  /// Before the next message. Keeps memory.
  void reset() noexcept;
  /// `bytes` always begins with the first byte of the message; what was there before is there still, perhaps
  /// elsewhere. ok: `end()` bytes make up the head, and its parts are views into them.
  Parsed scan(std::string_view bytes, const config::ListenerLimits& limits, bool request);
  std::size_t end() const noexcept { return end_; }
  /// Without its CRLF.
  std::string_view start_line() const noexcept { return start_line_; }
  /// Nobody sees them before the head is complete: while it is not, its bytes may be moved.
  std::vector<Field>& fields() noexcept { return fields_; }
  /// Empty lines before the message, which RFC 9112 2.2 lets a server ignore.
  std::size_t skipped() const noexcept { return skipped_; }

 private:
  void begin(std::string_view bytes, bool request) noexcept;
  Parsed too_long(std::string_view bytes, const config::ListenerLimits& limits, bool request) const noexcept;

  const char* base_ = nullptr;  // of what these are views into
  std::string_view start_line_;
  std::vector<Field> fields_;
  std::size_t line_ = 0;    // where the first line begins that was not complete
  std::size_t looked_ = 0;  // its bytes before this are known to hold no LF
  std::size_t end_ = 0, skipped_ = 0;
};

/// Reads a request's head: what is there of it, and then, once its end is, what it means.
Parsed read_request_head(HeadScanner&, std::string_view bytes, const config::ListenerLimits& limits,
                         RequestHead& out);
/// The head of a response to a request with method `asked`. Any refusal is a 502 to the client.
Parsed read_response_head(HeadScanner&, std::string_view bytes, Method asked, ResponseHead& out);

/// The same for a text that holds all of a head: never incomplete.
Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out);
Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out);

/// Limits for the heads of backends and of trailers.
const config::ListenerLimits& response_limits() noexcept;

}  // namespace remora
