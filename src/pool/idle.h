// Idle backend connections of one worker, newest first.
//
// Each keeps a receive pending, so that a FIN or unexpected byte discards it before reuse. After a second
// without use it is parked: this returns a large buffer and detects an end of stream that arrived together
// with the last bytes and so raised no event of its own. A connection whose server announced an idle timeout
// (Keep-Alive: timeout) is closed before that time: a request that crosses the server's close is lost, and
// fails if it cannot be repeated (RFC 9112 9.3.1).
//
// The lists are written out: with boost::intrusive::list a put() and take() cost 443 instructions instead of
// 418 (callgrind), and the code is not shorter.
//
// Threading: one worker. Lifetime: streams that close while idle remove themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

#include "net/transport.h"
#include "remora/pool_snapshot.h"

namespace remora {

class IdleConnections {
 public:
  explicit IdleConnections(Loop& loop) : loop_(loop) {}
  ~IdleConnections() { clear(); }
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// Takes the most recently used open connection, or nothing. `certain`: the request cannot be repeated, so
  /// ask the kernel whether the connection is still open, and use one that was idle for longer than `fresh`
  /// only within the time its server promised. `key` (connection_key()): a connection to another address or
  /// with other TLS settings is closed.
  TransportRef take(const Backend& backend, std::uint64_t key, bool certain, Clock::Steady now = {});
  /// Keeps a reusable connection; beyond `most` per backend the oldest is closed. `until`: how long the
  /// server promised to keep it.
  void put(const Backend& backend, std::uint64_t key, TransportRef stream, std::uint32_t most,
           Clock::Steady now, Clock::Steady until = no_promise);
  static constexpr Clock::Steady no_promise = Clock::Steady::max();
  /// No server in practice closes a connection that was idle for less.
  static constexpr std::chrono::milliseconds fresh{1000};
  void clear();
  /// Prefetches what an imminent take() or put() needs.
  void expect(const Backend& backend) const noexcept;
  /// Closes the connections to all backends except `living`. Does not dereference the backends that are
  /// gone.
  void retain(std::span<const Backend* const> living);
  std::size_t count(const Backend& backend) const noexcept;

 private:
  /// One idle connection. Watches its stream, and its age through the wheel.
  class Entry;
  /// The connections to one backend. Its index may later belong to another backend (Backend::number), which
  /// starts with an empty list.
  struct List {
    List() = default;
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List();
    void close_all();
    Entry* newest = nullptr;
    Entry* oldest = nullptr;
    Transport* stream_of_newest = nullptr;
    Entry* spare = nullptr;  // entries are recycled: no allocation per request
    const Backend* backend = nullptr;
    std::size_t size = 0;
  };
  static void discard(Entry& entry);
  static void unlink(Entry& entry);

  Loop& loop_;
  std::deque<List> lists_;  // by Backend::number; a deque, so that addresses stay valid
};

}  // namespace remora
