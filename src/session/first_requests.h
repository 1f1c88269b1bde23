// Sends the first requests of one client to one backend.
//
// A browser opens several connections at once, and its first requests arrive without a session. What one of
// them starts at a backend, the others should find there. So the first requests of one client (same address
// and User-Agent) within one second share a backend, but never a session id.
//
// Bounded: a fixed number of slots, where a new client overwrites an old one. A slot serves `max_shared`
// requests, so that many people behind one address are still spread over the backends. Threading: any thread;
// shared by all workers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "remora/clock.h"

namespace remora {

class FirstRequests {
 public:
  static constexpr std::uint32_t max_shared = 16;
  static constexpr auto together = std::chrono::seconds(1);

  /// The backend that this client's first requests share now. `client`: a hash that also covers the pool.
  std::optional<std::uint64_t> find(std::uint64_t client, Clock::Steady now) {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    Slot& slot = slot_of(shard, client);
    if (!slot.serves(client, now)) return std::nullopt;
    ++slot.served;
    return slot.backend;
  }
  /// The same, for explanations: it does not count as one of them.
  std::optional<std::uint64_t> peek(std::uint64_t client, Clock::Steady now) {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    const Slot& slot = slot_of(shard, client);
    return slot.serves(client, now) ? std::optional(slot.backend) : std::nullopt;
  }
  /// Records the backend chosen for one of them. Returns the backend that stands: of two concurrent requests,
  /// the first decides.
  std::uint64_t settle(std::uint64_t client, std::uint64_t backend, Clock::Steady now) {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    Slot& slot = slot_of(shard, client);
    if (!slot.serves(client, now)) slot = {client, backend, now, 0};
    ++slot.served;
    return slot.backend;
  }
  /// The recorded backend failed: use `backend` from now on.
  void replace(std::uint64_t client, std::uint64_t backend, Clock::Steady now) {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    slot_of(shard, client) = {client, backend, now, 1};
  }

 private:
  struct Slot {
    std::uint64_t client = 0, backend = 0;
    Clock::Steady since{};
    std::uint32_t served = 0;
    bool serves(std::uint64_t who, Clock::Steady now) const noexcept {
      return served > 0 && served < max_shared && client == who && now < since + together;
    }
  };
  static constexpr std::size_t shard_count = 16, slots_per_shard = 256;
  struct alignas(64) Shard {
    std::mutex mutex;
    std::array<Slot, slots_per_shard> slots;  // guarded by mutex
  };
  Shard& shard_of(std::uint64_t client) noexcept { return (*shards_)[client % shard_count]; }
  static Slot& slot_of(Shard& shard, std::uint64_t client) noexcept {
    return shard.slots[client / shard_count % slots_per_shard];
  }
  std::unique_ptr<std::array<Shard, shard_count>> shards_ =
      std::make_unique<std::array<Shard, shard_count>>();
};

}  // namespace remora
