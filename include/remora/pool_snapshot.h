// Backends, and a pool of them at one instant.
//
// Threading: a Backend is shared by all workers and outlives reloads, so its counters continue. A
// PoolSnapshot is immutable and replaced whole; a request keeps the snapshot that it began with.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "remora/config.h"
#include "remora/liveness.h"
#include "remora/traffic_counts.h"
#include "util/hash.h"

namespace remora {

using Admin = config::AdminState;                        // what the operator wants
enum class Health : std::uint8_t { unknown, up, down };  // what probes saw

/// Spelled as in files, the admin API and explanations.
constexpr std::string_view to_string(Admin a) noexcept {
  return a == Admin::ready ? "ready" : a == Admin::drain ? "drain" : "maint";
}
constexpr std::string_view to_string(Health h) noexcept {
  return h == Health::up ? "up" : h == Health::down ? "down" : "unknown";
}

/// What live traffic showed, for a limited time: accepts no new sessions, or nothing at all.
enum class Ejected : std::uint8_t { no, new_sessions, all };

/// Consecutive failures, counted by all workers. Failures to connect and failures to answer are kept apart:
/// an unreachable server is of no use to anybody, but one that answers with errors still holds its sessions.
class FailureStreaks {
 public:
  void succeeded() noexcept {  // the common case only reads
    if (connecting_.load(std::memory_order_relaxed) != 0) connecting_.store(0, std::memory_order_relaxed);
    if (answering_.load(std::memory_order_relaxed) != 0) answering_.store(0, std::memory_order_relaxed);
  }
  /// True at every `length` consecutive failures: time to report. Until the report is judged, the backend
  /// should be avoided: one that fails at once has the fewest requests in flight, and would attract them all.
  bool failed_to_connect(std::uint32_t length) noexcept { return one_more(connecting_, length); }
  bool failed_to_answer(std::uint32_t length) noexcept { return one_more(answering_, length); }
  bool reported() const noexcept { return reported_.load(std::memory_order_relaxed); }
  void judged() noexcept { reported_.store(false, std::memory_order_relaxed); }

 private:
  bool one_more(std::atomic<std::uint32_t>& streak, std::uint32_t length) noexcept {
    if (length == 0 || (streak.fetch_add(1, std::memory_order_relaxed) + 1) % length != 0) return false;
    reported_.store(true, std::memory_order_relaxed);
    return true;
  }
  std::atomic<std::uint32_t> connecting_{0}, answering_{0};
  std::atomic<bool> reported_{false};
};

/// A decaying count of recent requests. Read when sessions are placed, which is rare compared with requests.
struct ExpectedLoad {
  std::mutex mutex;
  double recent = 0;          // decayed; all fields are guarded by mutex
  std::uint64_t counted = 0;  // the part of Backend::served that `recent` covers
  std::chrono::steady_clock::time_point at{};
};

/// Requests that wait for a free place at a backend with `max_in_flight`; see pool/permit.h.
class PermitQueue;

/// One app server. Identity is the configured id: it survives reloads and address changes.
struct Backend {
  /// `workers`: number of request threads, each of which has its own counters. `waiting` may be null if no
  /// member has `max_in_flight`; make_backend() in pool/permit.h creates both.
  Backend(std::string pool_name, std::string backend_id, std::size_t workers = 1,
          std::shared_ptr<PermitQueue> waiting = nullptr);
  ~Backend();

  /// The backend announced a generation. The number only grows.
  void note_generation(std::uint64_t announced) noexcept {
    std::uint64_t known = generation.load(std::memory_order_relaxed);
    while (announced > known && !generation.compare_exchange_weak(known, announced)) {
    }
  }

  const std::string pool, id;
  const std::uint64_t hash;  // of the id alone, whatever the pool; tokens and stores name the backend by it

  // Fields that every request touches, on one cache line: with hundreds of backends, each has left the cache
  // by its next request. Every worker writes the counters, relaxed.
  alignas(64) std::atomic<std::uint32_t> in_flight{0};
  /// A small number, for tables with one slot per backend. Unique among living backends; reused later.
  const std::uint32_t number;
  std::atomic<std::uint64_t> served{0};      // requests sent to it in total
  std::atomic<std::uint64_t> generation{0};  // the highest announced; 0: none
  FailureStreaks failures;
  /// Attempts by outcome and time to first byte; one entry per worker.
  std::vector<TrafficCounts> traffic;
  /// A connection failed and the control thread was told. The control thread resets this.
  std::atomic<bool> lost{false};

  /// Touched only by probes and by requests that have waited for long.
  alignas(64) Liveness liveness;
  /// Streams that were ended because it drains or is in maintenance.
  std::atomic<std::uint64_t> drained_streams{0};

  /// The load that its sessions are expected to bring; see balance/expected_load.h.
  alignas(64) ExpectedLoad expected;

  /// Only touched when `max_in_flight` is set.
  alignas(64) const std::shared_ptr<PermitQueue> queue;
};

inline std::uint64_t backend_hash(std::string_view id) noexcept {
  return hash_text(id);
}

/// The fields that choosing reads come first, on one cache line.
struct alignas(64) Member {
  std::shared_ptr<Backend> backend;
  std::uint32_t weight = 1;  // 0 never receives new sessions
  bool backup = false;
  std::uint32_t max_in_flight = 0;  // 0: none
  Admin admin = Admin::ready;
  Health health = Health::unknown;
  Ejected ejected = Ejected::no;
  bool leaving = false;       // its drain deadline has passed: its remaining sessions move, a few at a time
  bool nowhere = false;       // its name has no address: it is down, whatever else is known
  bool panic = false;         // too few members are in service: probes and live traffic are ignored
  bool ends_streams = false;  // its open streams are ended, one after the other (config::Drain)
  bool untested = false;      // not probed yet while another is known to be up: no new sessions for now
  std::uint32_t full_weight = 0;  // what `weight` grows to in a slow start; 0: no slow start
  config::Address address;

  // Three separate facts (administrative state, probes, live traffic), combined only here.

  /// May begin sessions: administratively ready, not known dead, with positive weight.
  bool accepts_new() const noexcept {
    return admin == Admin::ready && weight > 0 &&
           (panic || (health != Health::down && ejected == Ejected::no && !untested));
  }
  /// May keep serving requests whose hash leads here. Error responses do not exclude it, as for bound
  /// sessions; drain and weight 0 do.
  bool accepts_keyed() const noexcept {
    return admin == Admin::ready && weight > 0 &&
           (panic || (health != Health::down && ejected != Ejected::all));
  }
  /// The weight for hashing: a slow start must not lead a hash elsewhere and back.
  std::uint32_t hash_weight() const noexcept { return full_weight != 0 ? full_weight : weight; }
  /// May keep serving sessions that are bound to it, even with drain, weight 0 or error responses.
  bool accepts_bound() const noexcept {
    return admin != Admin::maint && (panic || (health != Health::down && ejected != Ejected::all));
  }
};

struct PoolSnapshot {
  std::string name;
  std::vector<Member> members;  // in configuration order
  /// Builds the index of find(), so that 5,000 members cost little more than 3. Call it after filling
  /// `members`.
  void index() {
    by_hash_.clear();
    for (const Member& m : members) by_hash_.emplace_back(m.backend->hash, &m - members.data());
    std::sort(by_hash_.begin(), by_hash_.end());
  }
  /// The member whose backend has this hash; nullptr: none.
  const Member* find(std::uint64_t hash) const noexcept {
    if (by_hash_.size() != members.size()) return find_unindexed(hash);
    const auto it =
        std::lower_bound(by_hash_.begin(), by_hash_.end(), std::pair<std::uint64_t, std::ptrdiff_t>(hash, 0));
    return it != by_hash_.end() && it->first == hash ? &members[static_cast<std::size_t>(it->second)]
                                                     : nullptr;
  }

 private:
  const Member* find_unindexed(std::uint64_t hash) const noexcept {
    for (const Member& m : members)
      if (m.backend->hash == hash) return &m;
    return nullptr;
  }
  std::vector<std::pair<std::uint64_t, std::ptrdiff_t>> by_hash_;  // hash, index into `members`
};

/// The backends that this request has already tried. Fixed size, because attempts are few.
class Tried {
 public:
  void add(const Backend* b) noexcept {
    if (count_ < capacity) list_[count_++] = b;
  }
  bool contains(const Backend* b) const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
      if (list_[i] == b) return true;
    return false;
  }
  void clear() noexcept { count_ = 0; }
  std::size_t size() const noexcept { return count_; }

 private:
  static constexpr std::size_t capacity = 16;
  const Backend* list_[capacity] = {};
  std::size_t count_ = 0;
};

}  // namespace remora
