// The meaning of a parsed head, whichever version of HTTP brought it: is it acceptable, how much body
// follows, for whom is it?
//
// A codec parses (lines, HPACK), fills in the fields and what the start line or the pseudo-header fields say,
// and calls one of these functions, which check the rules of RFC 9110, and those of RFC 9112 or RFC 9113 by
// `Head::version`, and fill in the rest. They refuse heads that are well-formed but not acceptable: ambiguous
// framing, missing or repeated Host, odd targets.
//
// Pure: values in, values out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "http/message.h"

namespace remora {

/// Whether a head is acceptable.
struct Verdict {
  std::uint16_t code = 0;  // status of the local reply if it is refused; 0: acceptable
  const char* why = "";    // static text for the log
  bool refused() const noexcept { return code != 0; }
};

/// What the fields say about an HTTP/1 connection, for its codec. HTTP/2 has no such fields.
struct ConnectionTraits {
  bool chunked = false;           // the body of unknown length is chunked; else it ends with the connection
  bool keep_alive = true;         // another message may follow (RFC 9112 9.3)
  bool keep_alive_field = false;  // there is a Keep-Alive field (keep_alive.h)
};

/// Checks a request head. REQUIRES: `fields`, `version`, `method_text` and `target` are set. HTTP/2: `target`
/// is `:path`, `host` is `:authority` or empty, and `body` is `none` if the head ended the stream, else
/// `unknown`; an extended CONNECT is checked as a GET, then the codec sets `tunnel` and adds the protocol as
/// an Upgrade field. `max_target`: limit for the target's bytes.
Verdict validate_request(RequestHead& head, std::size_t max_target, ConnectionTraits& connection);

/// Checks the head of a response to a request with method `asked`. Refusals have the code 502. REQUIRES:
/// `fields`, `version` and `status` are set. HTTP/2: `body` as above.
Verdict validate_response(ResponseHead& head, Method asked, ConnectionTraits& connection);

}  // namespace remora
