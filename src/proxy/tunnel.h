// Tunnel: relays raw bytes in both directions after a 101, until both ends have ended.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/body_pump.h"
#include "proxy/phase.h"

namespace remora {

class Tunnel : private Phase {
 public:
  explicit Tunnel(ExchangeParts& parts, SessionResponse& marks) : Phase(parts), marks_(marks) {}

  /// Relays until both ends have ended, one broke, or nothing moved for `timeouts.tunnel`. An end that
  /// arrives together with the last bytes raises no event, so after a short silence (20 ms) the kernel is
  /// asked.
  Task<void> run();

 private:
  struct Lane;
  Step pump_lane(Lane& lane);

  static constexpr int rounds_per_turn = 8;

  SessionResponse& marks_;
};

}  // namespace remora
