// Connection: one client's TCP connection, from accept to close.
//
// While it serves requests it is active: a coroutine runs, with an Active borrowed from the worker. After
// half a second without a request it is parked: the coroutine has returned, the Active and the stream were
// given back, and only this object and a descriptor in the parking lot remain, with HTTP/2 its session too.
// (A waiting coroutine would hold its frames: 740 bytes and more.)
//
// connection.cpp: its life. greeting.cpp: what comes before the first request. connection_http1.cpp and
// http2_connection.h: the requests.
//
// Threading: its worker's thread. Lifetime: owned by the worker's list; deletes itself at its end.
#pragma once

#include <exception>
#include <memory>

#include "net/transport.h"
#include "proxy/active.h"
#include "proxy/http2_connection.h"
#include "proxy/worker_context.h"
#include "util/slab.h"

namespace remora {

/// What the connections of one listener share on one worker.
struct ListenerState {
  std::size_t slot = 0;  // into Snapshot::listeners
  std::shared_ptr<ListenerShared> shared;
};

class Connection final : private TransportWatcher,
                         private IdleSocket,
                         private DeadlineEntry,
                         private ConnectionLink {
 public:
  /// Starts serving an accepted socket, or closes it if its limits or PROXY rules refuse it. `peer`: address
  /// of the other end.
  static void start(WorkerContext& worker, const ListenerState& listener, TransportRef stream,
                    const ClientAddress& peer);

  /// The worker stops: closes parked connections now and others after their exchange; HTTP/2 clients are told
  /// first (tell_leaving()). `hard`: closes all now.
  static void stop_all(WorkerContext& worker, bool hard);
  /// The worker stops or is leaving, or a listener was retired: tells the clients that can be told at any
  /// time (HTTP/2). Some now and the others in later turns of the loop: a parked connection becomes active
  /// for it, and there may be thousands.
  static void tell_leaving(WorkerContext& worker);

 private:
  Connection(WorkerContext& worker, const ListenerState& listener, TransportRef stream,
             const ClientAddress& peer);
  ~Connection() override;
  static void* operator new(std::size_t) { return Slab<Connection>::take(); }
  static void operator delete(void* p) noexcept { Slab<Connection>::give_back(p); }

  void stop(bool hard);
  static void tell_some(WorkerContext& worker);
  void tell_leaving();
  void wake_up();
  bool is_welcome(const config::Listener& settings);
  bool count_client(const config::Listener& settings);
  void refuse(Refusal what, const config::Listener& settings, std::string_view why) const;
  void activate();
  Task<void> serve();
  using End = ConnectionEnd;
  Task<End> converse();
  Task<End> serve_requests();
  enum class Next : std::uint8_t { request, refused, late, close, park };
  bool head_came();
  Task<Next> await_head();
  void give_up(const std::exception& error) noexcept;
  Task<bool> greet();
  Task<bool> shake_hands(Clock::Steady deadline);
  Task<bool> read_proxy_line();
  Task<bool> sees_preface(Clock::Steady deadline);
  bool may_begin_preface() const noexcept;
  void begin_http2();
  Task<void> linger();
  Task<bool> wait(Clock::Steady deadline);
  void rest();
  void stream_event(Transport&) override;
  bool stream_rests(Transport&) override;
  void woken() override;
  void expired() override;

  static constexpr auto proxy_line_grace = std::chrono::seconds(1);

  WorkerContext& worker_;
  const ListenerState listener_;
  TransportRef stream_;      // null while in the parking lot
  Transport::Dormant rest_;  // the socket while stream_ is null
  ClientAddress peer_;
  Clock::Steady idle_since_;
  std::unique_ptr<Active> active_;            // null: parked
  std::shared_ptr<const ListenerView> view_;  // while active
  std::unique_ptr<Http2Connection> http2_;    // null: HTTP/1, or not known yet
  std::unique_ptr<BoundConnections> own_;  // backend connections reserved for this client (NTLM and the like)
  bool greeted_ = false, counted_ = false;
};

}  // namespace remora
