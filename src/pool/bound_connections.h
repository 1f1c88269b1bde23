// Backend connections that belong to one client's connection alone.
//
// Some servers authenticate a connection instead of a request (NTLM, Negotiate, Kerberos; http/
// connection_auth.h). Such a connection must never serve another client, so it is kept here and not among the
// idle ones: from the server's challenge, or the client's first credentials, to the end of either connection.
//
// While nobody uses one it has a receive pending, as an idle one has, and is parked after a second.
//
// Threading: one worker. Lifetime: of the client's connection; made for the few that need it.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "net/stream.h"
#include "remora/pool_snapshot.h"

namespace remora {

class BoundConnections {
 public:
  /// `client`: the real one, as trusted proxies tell.
  BoundConnections(Loop& loop, const ClientAddress& client) : loop_(loop), client_(client) {}
  ~BoundConnections();
  BoundConnections(const BoundConnections&) = delete;
  BoundConnections& operator=(const BoundConnections&) = delete;

  struct Taken {
    StreamRef stream;  // null: there is none, or it has ended
    /// A handshake in this backend's pool waits for the client's next leg. Without a stream: its connection
    /// is gone, and no other knows of it.
    bool leg_due = false;
  };
  /// The client's connection to this backend. `key` (connection_key()): as for idle ones.
  Taken take(const Backend& backend, std::uint64_t key, Clock::Steady now);
  /// Keeps it. `until`: as long as its server promised to. Of more than `most` the one that was used least
  /// recently is closed.
  void put(std::shared_ptr<Backend> backend, std::uint64_t key, StreamRef stream, bool leg_due,
           Clock::Steady now, Clock::Steady until);
  /// The backend in this pool with the connection that was used last, null: none, and whether a leg is due
  /// there. Without sessions nothing else would lead it there.
  struct Place {
    const Backend* backend = nullptr;
    bool leg_due = false;
  };
  Place place_in(std::string_view pool) const noexcept;
  /// Whether they may serve this client: a proxy before us may send another's requests over the same
  /// connection.
  bool are_for(const ClientAddress& client) const noexcept;

  static constexpr std::size_t most = 4;

 private:
  class Entry final : public StreamWatcher, private DeadlineEntry {
   public:
    void hold(StreamRef s, Loop& loop, Clock::Steady now, Clock::Steady promised);
    StreamRef give() noexcept;
    void lose() noexcept;
    void stream_event(Stream&) override { lose(); }
    bool in_use() const noexcept { return stream || leg_due; }

    std::shared_ptr<Backend> backend;
    std::uint64_t key = 0;
    StreamRef stream;
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
