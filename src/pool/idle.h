// Idle backend connections of one worker, newest first.
//
// Each has a receive pending, so a FIN or an unasked byte discards it before it is used again. After a
// second without use it is parked: its buffer goes back and only a plain wait remains.
//
// Threading: one worker. Lifetime: streams that are closed while idle remove themselves.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <list>
#include <memory>

#include "net/stream.h"
#include "net/tls.h"
#include "remora/pool_snapshot.h"

namespace remora {

class IdleConnections {
 public:
  /// Kept with each connection: one made under other TLS settings is not used again.
  using TlsRef = std::shared_ptr<const ClientTls>;

  explicit IdleConnections(Loop& loop) : loop_(loop) {}
  ~IdleConnections() { clear(); }
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// The most recently used connection that is still open, or nothing. `certain`: the request could not be
  /// repeated, so the kernel is asked whether the connection still stands.
  StreamRef take(const Backend& backend, const TlsRef& tls, const Endpoint& endpoint, bool certain);
  /// Keeps a connection that is fit for reuse; at most `most` per backend, the oldest goes.
  void put(const Backend& backend, const TlsRef& tls, const Endpoint& endpoint, StreamRef stream,
           std::uint32_t most, Clock::Steady now);
  void clear();
  /// Closes the connections to backends that `keep` does not contain.
  template <class Keep>
  void retain(Keep keep) {
    for (auto it = lists_.begin(); it != lists_.end();) {
      if (keep(it->first)) {
        ++it;
      } else {
        it->second->close_all();
        lists_.erase(it++);  // Boost 1.81 returns nothing here
      }
    }
  }
  std::size_t count(const Backend& backend) const noexcept;

 private:
  /// One idle connection. Watches its stream, and its own age by the wheel.
  class Entry;
  struct List {
    ~List();
    void close_all();
    Entry* newest = nullptr;
    Entry* oldest = nullptr;
    std::size_t size = 0;
    Entry* spare = nullptr;  // entries are recycled: no allocation per request
  };
  static void discard(Entry& entry);
  static void unlink(Entry& entry);

  Loop& loop_;
  boost::unordered_flat_map<const Backend*, std::unique_ptr<List>> lists_;
};

}  // namespace remora
