// SharedConnections: a worker's HTTP/2 connections to backends. Many requests share few of them.
//
// A request takes a stream of an open connection that has room: the server's limit of concurrent streams, and
// ours. If none has room, it waits for a new connection; all who wait at one backend share the connects in
// progress, which are as many as the waiting requests will need. A connection counts as open when the
// server's SETTINGS have arrived: then it is known to speak HTTP/2, and its limits are known.
//
// GOAWAY retires a connection: its streams go on, and no new ones are opened. A lost connection fails its
// streams, and is forgotten when the last of them was released. Open connections stay when they are idle, up
// to the pool's `idle_connections`. One that seems dead gets no new streams until it shows a sign of life.
//
// Where the protocol is chosen by ALPN (`auto`) and the backend chooses HTTP/1.1, the connection goes to one
// request alone, and for a minute all others connect for themselves.
//
// Threading: one worker. Lifetime: longer than the exchanges.
#pragma once

#include <boost/intrusive/list.hpp>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "http/h2/settings.h"
#include "proxy/backend_connect.h"
#include "proxy/connector.h"
#include "util/ref.h"

namespace remora {

class SharedConnections {
 public:
  explicit SharedConnections(Loop& loop);
  ~SharedConnections();
  SharedConnections(const SharedConnections&) = delete;
  SharedConnections& operator=(const SharedConnections&) = delete;

  /// Gives `into` a stream of an open connection. False: none has room. `certain`: the request cannot be
  /// repeated, so ask the kernel about a connection that was idle.
  bool take(const Connector::Target&, bool certain, BackendStream& into, Clock::Steady now);
  /// Waits for a stream of a new connection, or for room on an open one.
  std::unique_ptr<PendingConnect> connect(const Connector::Target&, Clock::Steady began,
                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                          BackendStream& into);
  /// Retires the connections to all backends except `living`. Does not dereference the backends that are
  /// gone.
  void retain(std::span<const Backend* const> living);
  /// Retires all connections: each closes when its last stream has ended.
  void clear();
  /// Connections to this backend, including those that are being made or retired.
  std::size_t count(const Backend&) const noexcept;

  /// A connection whose server says nothing for so long, although a request waited, is doubtful; after as
  /// long again without an answer to PING, it is closed.
  static constexpr std::chrono::seconds silence{1}, doubt{5};
  /// After so long without bytes for open requests, the kernel is asked for the end of the connection.
  static constexpr std::chrono::milliseconds quiet{20};
  /// What we announce to servers. The streams share no window: one slow client must not stop the others.
  static constexpr Http2Settings settings{100, 256 * 1024, 100 * 256 * 1024};

 private:
  class Connection;
  class Waiter;
  /// A base of Waiter: keeps it in its group's list until it is destroyed.
  struct WaiterLink
      : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {};
  /// The connections to one backend, and the requests that wait for one. Its index may later belong to
  /// another backend (Backend::number).
  struct Group {
    const Backend* backend = nullptr;
    std::uint64_t key = 0;
    std::vector<Ref<Connection>> connections;
    boost::intrusive::list<WaiterLink, boost::intrusive::constant_time_size<false>> waiters;
    // As of the last request:
    BackendAddress address;
    config::BackendProtocol protocol = config::BackendProtocol::h2;
    std::chrono::nanoseconds timeout{};
    std::uint32_t max_idle = 0;
    // As of the last connection:
    std::uint32_t streams_each = settings.max_concurrent_streams;
    Clock::Steady http1_until{};  // the backend chose HTTP/1.1
  };

  /// Throws std::bad_alloc, and then changes no group.
  Group& group_of(const Connector::Target&);
  static Waiter& next_waiter(Group&);
  static void retire(Group&);
  static Connection* with_room(const Group&, bool tunnel) noexcept;
  void serve(Group&);
  /// Throws std::bad_alloc.
  void dial(Group&);
  void connected_http1(Group&, TransportRef);
  static void connect_failed(Group&, bool timed_out);

  Loop& loop_;
  std::deque<Group> groups_;  // by Backend::number; a deque, so that addresses stay valid
};

}  // namespace remora
