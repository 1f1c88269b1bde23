// ClientLimits: limits per client on concurrent connections, requests per second and new sessions per second.
//
// A client is an IPv4 address (also in the form ::ffff:a.b.c.d) or an IPv6 /64, which is what one customer
// gets. Only listeners that set `per_client` use it.
//
// The table is bounded, and a full table lifts no limit in force: only entries without information (no
// connection, nothing spent) are dropped. If there are none, newcomers share one entry per shard.
//
// Threading: any thread; sharded, a mutex per shard.
#pragma once

#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <mutex>
#include <optional>

#include "remora/clock.h"
#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

class ClientLimits {
 public:
  explicit ClientLimits(config::PerClient limits = {}) : limits_(limits) {}

  /// A reload changed the limits. Open connections and spent tokens stay counted.
  void set(const config::PerClient& limits);

  /// Counts a connection. False: too many connections, not counted. Pair each success with disconnected().
  bool connected(const ClientAddress&, Clock::Steady now);
  /// Uncounts a connection that connected() counted.
  void disconnected(const ClientAddress&);
  /// Take a token from the bucket for `requests_per_second` or `new_sessions_per_second`, each with `burst`.
  /// 0: allowed; else the seconds to wait (Retry-After).
  std::uint32_t request(const ClientAddress&, Clock::Steady now);
  std::uint32_t new_session(const ClientAddress&, Clock::Steady now);
  /// Clients in the table; at most shard_count * max_per_shard.
  std::size_t size();
  static constexpr std::size_t shard_count = 16, max_per_shard = 16384;

 private:
  struct Key {
    std::uint64_t high, low;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& k) const noexcept {
      return (k.high * 0x9e3779b97f4a7c15ULL) ^ (k.low + (k.low >> 29));
    }
  };
  struct Bucket {
    double spent = 0;  // at time `at`; decreases with time
    Clock::Steady at{};
    void refill(double rate, Clock::Steady now) noexcept;
    std::uint32_t take(double rate, double burst, Clock::Steady now) noexcept;
  };
  struct Entry {
    std::uint32_t connections = 0;
    Bucket requests, sessions;
  };
  struct Shard {
    std::mutex mutex;
    boost::unordered_flat_map<Key, Entry, Hash> entries;  // guarded by mutex, like all fields here
    Entry shared;                                         // for clients without an entry
    Clock::Steady swept{};
  };
  static Key key_of(const ClientAddress& a) noexcept {
    Key k;
    std::memcpy(&k, a.bytes, sizeof k);
    if (!a.is_v4()) k.low = 0;
    return k;
  }
  Shard& shard(const Key& k) noexcept { return shards_[Hash()(k) >> 7 & (shards_.size() - 1)]; }
  Entry& entry(Shard&, const Key&, Clock::Steady now);
  bool says_nothing(Entry&, Clock::Steady now) const noexcept;
  std::uint32_t take(const ClientAddress&, Clock::Steady now, std::optional<double> config::PerClient::* rate,
                     Bucket Entry::* bucket);

  config::PerClient limits_;  // written under all shards' mutexes, read under any of them
  std::array<Shard, shard_count> shards_;
};

}  // namespace remora
