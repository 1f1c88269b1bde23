// Http2Connection: the requests of one client connection that speaks HTTP/2. Runs an exchange for each
// stream, several at a time, and sees to the connection's own deadlines and its end.
//
// Threading: its worker's thread. Lifetime: that of its Connection, also while that is parked; the transport
// comes and goes (serve()).
#pragma once

#include <boost/intrusive/list.hpp>

#include "http/h2/server.h"
#include "proxy/stream_task.h"

namespace remora {

/// What becomes of a client connection that serves no request.
enum class ConnectionEnd : std::uint8_t {
  close,
  linger,  // close, but first let the client read what was sent
  park,    // idle: wait without holding memory
};

class Http2Connection final : private Http2ServerSession::Owner, private StreamOwner {
 public:
  /// Throws std::bad_alloc.
  Http2Connection(WorkerContext& worker, const ListenerView& listener);

  /// Serves until the connection is to be closed or parked; no exchange runs then. The arguments are used
  /// until it returns; `turn` belongs to the connection, each stream has its own.
  Task<ConnectionEnd> serve(TransportRef transport, ConnectionState& state, Turn& turn);
  /// When the last request ended.
  Clock::Steady idle_since() const noexcept { return idle_since_; }

 private:
  void stream_opened(Http2ServerStream& stream) override;
  void head_refused(const char* why) override;
  void flooded(const char* what) override;
  ConnectionState& connection_state() noexcept override { return *state_; }
  void stream_finished(ServerStream& stream, Clock::Steady now, bool expensive) noexcept override;

  bool advance();
  void start_opened();
  void note_received(Clock::Steady now) noexcept;
  void look_for_end(Clock::Steady now) noexcept;
  void note_progress(Clock::Steady now) noexcept;
  bool is_leaving() const noexcept;
  bool is_late(Clock::Steady now);
  bool may_park(Clock::Steady now) const noexcept;
  Clock::Steady next_deadline() const noexcept;
  bool serves_nothing() const noexcept { return session_.running() == 0 && opened_.empty(); }

  using Opened = boost::intrusive::list<StreamTask, boost::intrusive::constant_time_size<false>>;

  WorkerContext& worker_;
  Http2ServerSession session_;
  // While serve() runs.
  TransportRef transport_;
  ConnectionState* state_ = nullptr;
  Turn* turn_ = nullptr;
  Opened opened_;           // their exchanges have not begun
  bool expensive_ = false;  // an exchange of this turn was
  Clock::Steady heard_;     // when bytes came last
  bool asked_ = true;       // the kernel was asked for the end since
  // Since when the current header block, and the current pause of sending, last.
  Clock::Steady head_since_, blocked_since_;
  bool mid_head_ = false, blocked_ = false;
  std::uint64_t sent_ = 0;
  Clock::Steady idle_since_;
};

}  // namespace remora
