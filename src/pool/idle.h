// Idle backend connections of one worker, newest first.
//
// Each has a receive pending, so a FIN or an unasked byte discards it before it is used again. After a
// second without use it is parked: a large buffer goes back, and an end that came together with the last
// bytes, which raised no event of its own, is seen. One whose server said how long it may idle
// (Keep-Alive: timeout) is closed before that time is over: a request that crosses the server's close is
// lost, and what cannot be repeated fails (RFC 9112 9.3.1).
//
// Threading: one worker. Lifetime: streams that are closed while idle remove themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

#include "net/stream.h"
#include "remora/pool_snapshot.h"

namespace remora {

class IdleConnections {
 public:
  explicit IdleConnections(Loop& loop) : loop_(loop) {}
  ~IdleConnections() { clear(); }
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// The most recently used connection that is still open, or nothing. `certain`: the request could not be
  /// repeated, so the kernel is asked whether the connection still stands, and one that idled for longer than
  /// `fresh` is used only within the time that its server promised.
  /// `key` (connection_key()): one that was made to another address or under other TLS settings is closed.
  StreamRef take(const Backend& backend, std::uint64_t key, bool certain, Clock::Steady now = {});
  /// Keeps a connection that is fit for reuse; at most `most` per backend, the oldest goes. `until`: as long
  /// as the server promised to keep it.
  void put(const Backend& backend, std::uint64_t key, StreamRef stream, std::uint32_t most, Clock::Steady now,
           Clock::Steady until = no_promise);
  static constexpr Clock::Steady no_promise = Clock::Steady::max();
  /// No server in use closes a connection that idled for less.
  static constexpr std::chrono::milliseconds fresh{1000};
  void clear();
  /// take() or put() will follow soon: what they need comes from memory meanwhile.
  void expect(const Backend& backend) const noexcept;
  /// Closes the connections to all backends but these. Those that are gone are not looked at.
  void retain(std::span<const Backend* const> living);
  std::size_t count(const Backend& backend) const noexcept;

 private:
  /// One idle connection. Watches its stream, and its own age by the wheel.
  class Entry;
  /// Of one backend. Its place in the table may be another's later (Backend::number), who finds it empty.
  struct List {
    List() = default;
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List();
    void close_all();
    Entry* newest = nullptr;
    Entry* oldest = nullptr;
    Stream* stream_of_newest = nullptr;
    Entry* spare = nullptr;  // entries are recycled: no allocation per request
    const Backend* backend = nullptr;
    std::size_t size = 0;
  };
  static void discard(Entry& entry);
  static void unlink(Entry& entry);

  Loop& loop_;
  std::deque<List> lists_;  // by Backend::number; places stay where they are
};

}  // namespace remora
