// GracefulShutdown: a session's end that fails no request (RFC 9113 6.8), in two steps: a GOAWAY that refuses
// nothing yet, with a PING behind it; then, when that is answered or the peer has had time, a GOAWAY with the
// number of the last stream.
//
// Threading: one thread. Lifetime: that of its session, which keeps the time.
#pragma once

#include <cstdint>

struct nghttp2_session;

namespace remora {

class GracefulShutdown {
 public:
  bool has_begun() const noexcept { return step_ != Step::none; }
  /// The first step. False: no memory. REQUIRES: not has_begun().
  bool begin(nghttp2_session* session) noexcept;
  /// The second step is due. False: it was before, or the first was not taken.
  bool proceed() noexcept;
  /// The session ends at once: then a GOAWAY with a reason is sent.
  void cancel() noexcept { goaway_due_ = false; }

  bool goaway_due() const noexcept { return goaway_due_; }
  enum class Submitted : std::uint8_t { nothing, frame, failed };
  /// Gives nghttp2 the frame that is due. Call it when nghttp2 has nothing else to send: requests that were
  /// received by then are served, and the PING does not overtake the first GOAWAY, whose arrival it is to
  /// show. failed: no memory.
  Submitted submit_due(nghttp2_session* session) noexcept;

 private:
  enum class Step : std::uint8_t { none, first, second };
  Step step_ = Step::none;
  bool ping_due_ = false, goaway_due_ = false;
};

}  // namespace remora
