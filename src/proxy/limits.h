// Limits per client address: connections at once, requests per second. Shared by all workers, sharded.
//
// Only consulted by listeners that set `per_client`. The table is bounded: what has been idle longest goes.
#pragma once

#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <mutex>

#include "remora/clock.h"
#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

class ClientLimits {
 public:
  explicit ClientLimits(config::PerClient limits = {}) : limits_(limits) {}

  /// A reload changed them: who has connections or tokens keeps them.
  void set(const config::PerClient& limits);

  /// False: one connection too many. Pair each success with `disconnected`.
  bool connected(const ClientAddress&, Clock::Steady now);
  void disconnected(const ClientAddress&);
  /// 0: go on; else the seconds to wait (Retry-After). A token bucket (`requests_per_second`, `burst`).
  std::uint32_t request(const ClientAddress&, Clock::Steady now);
  /// Addresses remembered; at most shards times most_per_shard.
  std::size_t size();
  static constexpr std::size_t shard_count = 16, most_per_shard = 16384;

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
  struct Entry {
    std::uint32_t connections = 0;
    double tokens = 0;
    Clock::Steady at{};
  };
  struct Shard {
    std::mutex mutex;
    boost::unordered_flat_map<Key, Entry, Hash> entries;  // guarded by mutex
  };
  static Key key_of(const ClientAddress& a) noexcept {
    Key k;
    std::memcpy(&k, a.bytes, sizeof k);
    return k;
  }
  Shard& shard(const Key& k) noexcept { return shards_[Hash()(k) >> 7 & (shards_.size() - 1)]; }
  Entry& entry(Shard&, const Key&, Clock::Steady now);
  double burst() const noexcept {
    return limits_.burst ? *limits_.burst : std::max(1.0, *limits_.requests_per_second);
  }

  config::PerClient limits_;  // guarded by all shards' mutexes together; one is enough to read
  std::array<Shard, shard_count> shards_;
};

}  // namespace remora
