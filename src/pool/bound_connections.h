// Backend connections reserved for one client connection.
//
// Some servers authenticate a connection instead of a request (NTLM, Negotiate, Kerberos;
// http/connection_auth.h). Such a connection must never serve another client, so it is kept here instead of
// among the idle connections: from the server's challenge, or the client's first credentials, until either
// connection ends.
//
// An unused connection keeps a receive pending, like an idle one, and is parked after a second.
//
// Threading: one worker. Lifetime: that of the client's connection; created only for the few that need it.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "net/transport.h"
#include "remora/pool_snapshot.h"

namespace remora {

class BoundConnections {
 public:
  /// `client`: the real client address, as reported by trusted proxies.
  BoundConnections(Loop& loop, const ClientAddress& client) : loop_(loop), client_(client) {}
  ~BoundConnections();
  BoundConnections(const BoundConnections&) = delete;
  BoundConnections& operator=(const BoundConnections&) = delete;

  struct Lease {
    TransportRef stream;  // null: no connection, or it has ended
    /// A handshake in this backend's pool expects the client's next leg. If `stream` is null, its connection
    /// is lost, and no other connection can continue it.
    bool leg_due = false;
  };
  /// Takes the client's connection to this backend. `key` (connection_key()): as for idle connections.
  Lease take(const Backend& backend, std::uint64_t key, Clock::Steady now);
  /// Keeps a connection. `until`: how long its server promised to keep it. Beyond `most` connections the
  /// least recently used one is closed.
  void put(std::shared_ptr<Backend> backend, std::uint64_t key, TransportRef stream, bool leg_due,
           Clock::Steady now, Clock::Steady until);
  /// The backend in this pool whose connection was used most recently (null: none), and whether a leg is due
  /// there. Requests without a session must be routed there.
  struct Place {
    const Backend* backend = nullptr;
    bool leg_due = false;
  };
  Place place_in(std::string_view pool) const noexcept;
  /// Whether the connections belong to this client: a proxy in front may send requests of several clients
  /// over one connection.
  bool are_for(const ClientAddress& client) const noexcept;

  static constexpr std::size_t most = 4;

 private:
  class Entry final : public TransportWatcher, private DeadlineEntry {
   public:
    void hold(TransportRef s, Loop& loop, Clock::Steady now, Clock::Steady promised);
    TransportRef give() noexcept;
    void lose() noexcept;
    void stream_event(Transport&) override { lose(); }
    bool in_use() const noexcept { return stream || leg_due; }

    std::shared_ptr<Backend> backend;
    std::uint64_t key = 0;
    TransportRef stream;
    bool leg_due = false;
    Clock::Steady since, until;

   private:
    void expired() override;
    Clock::Steady park_at_;
  };
  Entry& place_for(const Backend& backend) noexcept;

  Loop& loop_;
  const ClientAddress client_;
  std::array<Entry, most> entries_;
};

}  // namespace remora
