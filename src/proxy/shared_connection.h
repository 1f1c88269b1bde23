// One of SharedConnections' connections: connects, speaks HTTP/2, notices its end. Not for anybody else.
#pragma once

#include <optional>

#include "http/h2/client.h"
#include "proxy/shared_connections.h"

namespace remora {

/// A request that waits for a stream.
class SharedConnections::Waiter final : public PendingConnect, public WaiterLink {
 public:
  Waiter(Loop& loop, const Connector::Target& to, Clock::Steady end, EventFlags& wake, BackendStream& into)
      : loop_(loop), to_(to), end_(end), wake_(wake), into_(into) {}

  Io step(Clock::Steady now) override;
  Clock::Steady deadline() const noexcept override { return own_ ? own_->deadline() : end_; }
  bool timed_out() const noexcept override { return timed_out_; }

  void give(ClientStream& stream);
  /// Without memory for it, the request fails.
  void give(TransportRef connection);
  void fail(bool timed_out);
  /// It has to make a connection of its own, which speaks HTTP/1.1.
  void leave_alone();

 private:
  enum class Outcome : std::uint8_t { none, ready, failed, alone };
  void tell(Outcome outcome);

  Loop& loop_;
  const Connector::Target to_;
  const Clock::Steady end_;
  EventFlags& wake_;
  BackendStream& into_;
  std::optional<BackendConnect> own_;
  Outcome outcome_ = Outcome::none;
  bool timed_out_ = false;
};

class SharedConnections::Connection final : public RefCounted<Connection>, private Http2ClientSession::Owner {
 public:
  Connection(SharedConnections& all, Group& group);
  ~Connection();
  /// Follows when its group has it: only then events may use it.
  void start() noexcept;

  /// It is being made.
  bool is_new() const noexcept { return state_ == State::connecting || state_ == State::greeting; }
  /// Another stream can be opened.
  bool has_room() const noexcept {
    return state_ == State::open && !retired_ && !doubtful_ && session_->has_room();
  }
  bool is_retired() const noexcept { return retired_; }
  bool is_idle() const noexcept { return state_ == State::open && session_->running() == 0; }
  Http2ClientSession& session() noexcept { return *session_; }
  /// Asks the kernel whether a connection that was idle is still open.
  bool still_open(Clock::Steady now, bool certain);
  /// No new streams. It closes when the last one has ended.
  void retire();
  /// Destroys everything at once. REQUIRES: no stream is used.
  void destroy() noexcept;

 private:
  enum class State : std::uint8_t { connecting, greeting, open, over, closed };

  void stream_ended(bool silent) noexcept override;
  void post() noexcept;
  void on_event();
  void act(Clock::Steady now);
  void listen() noexcept;
  void set_deadline() noexcept;
  void connect(Clock::Steady now);
  void begin_http2(TransportRef transport);
  void receive(Clock::Steady now);
  void look_after(Clock::Steady now);
  Clock::Steady next_question() const noexcept;
  void close_idle();
  void lose(bool timed_out);
  void close();

  SharedConnections& all_;
  Group& group_;
  EventFlags wake_;
  const Clock::Steady connect_by_;
  std::optional<BackendConnect> connecting_;
  std::optional<Http2ClientSession> session_;
  State state_ = State::connecting;
  Clock::Steady heard_{}, idle_since_{}, doubt_until_{};
  bool retired_ = false, doubtful_ = false, post_pending_ = false, asked_ = false;
  bool wheel_posts_ = false;  // post() found no memory
};

}  // namespace remora
