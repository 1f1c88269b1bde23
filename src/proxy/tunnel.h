// Tunnel: relays raw bytes in both directions after a 101, until both ends have ended.
//
// A tunnel whose backend drains is ended before (open_streams.h). A WebSocket's client gets a Close frame
// with the status 1001 (going away), between two frames of its backend; if there is no such place within a
// second, and in other protocols, the connection just ends. The backend's connection is closed.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "http/websocket_frames.h"
#include "proxy/body_pump.h"
#include "proxy/phase.h"

namespace remora {

class Tunnel : private Phase {
 public:
  explicit Tunnel(ExchangeParts& parts, SessionResponse& marks) : Phase(parts), marks_(marks) {}

  /// Relays until both ends have ended, one broke, or nothing moved for `timeouts.tunnel`. An end that
  /// arrives together with the last bytes raises no event, so after a short silence (20 ms) the kernel is
  /// asked. Failure `drained`: it was ended before its time.
  Task<void> run();

 private:
  struct Lane;
  Step pump_lane(Lane& lane);
  bool is_over() const noexcept;
  bool is_between_frames() const noexcept;
  Task<void> say_going_away(Lane& out);

  static constexpr int rounds_per_turn = 8;

  SessionResponse& marks_;
  WebSocketFrames frames_;  // of the backend, as far as the client was sent them
};

}  // namespace remora
