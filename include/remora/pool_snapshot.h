// Backends, and a pool of them as of one instant.
//
// Threading: a Backend is shared by all workers and outlives reloads, so its counters go on; a
// PoolSnapshot is immutable and replaced whole. A request keeps the snapshot that it began with.
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

using Admin = config::AdminState;                         // what the operator wants
enum class Health : std::uint8_t { unknown, up, down };  // what probes saw

/// As files, the admin API and explanations spell them.
constexpr std::string_view to_string(Admin a) noexcept {
  return a == Admin::ready ? "ready" : a == Admin::drain ? "drain" : "maint";
}
constexpr std::string_view to_string(Health h) noexcept {
  return h == Health::up ? "up" : h == Health::down ? "down" : "unknown";
}

/// What live traffic showed, for a time: takes nothing new, or nothing at all.
enum class Ejected : std::uint8_t { no, new_sessions, all };

/// Failures in a row, as the workers meet them. Connecting and answering are told apart: a server that cannot
/// be reached is no good to anybody, one that answers with errors still holds its sessions.
class FailureStreaks {
 public:
  void succeeded() noexcept {  // the common case only reads
    if (connecting_.load(std::memory_order_relaxed) != 0) connecting_.store(0, std::memory_order_relaxed);
    if (answering_.load(std::memory_order_relaxed) != 0) answering_.store(0, std::memory_order_relaxed);
  }
  /// True with each `length` failures in a row: time to report. Until somebody has judged it, it is better
  /// passed over: one that fails at once has the fewest requests in flight, and would get them all.
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

/// Recent requests, fading. Read when sessions are placed, which is rare beside requests.
struct ExpectedLoad {
  std::mutex mutex;
  double recent = 0;          // decayed; guarded by mutex, as all here
  std::uint64_t counted = 0;  // of Backend::served
  std::chrono::steady_clock::time_point at{};
};

/// What waits for a free place at a backend with `max_in_flight`; see pool/queue.h.
class PlaceQueue;

/// One app server. Identity is the configured id: it survives reloads and address changes.
struct Backend {
  /// `workers`: the number of request threads, each of which has its own counters. `waiting` may be null when
  /// no member has `max_in_flight`; make_backend() in pool/queue.h creates both.
  Backend(std::string pool_name, std::string backend_id, std::size_t workers = 1,
          std::shared_ptr<PlaceQueue> waiting = nullptr);
  ~Backend();

  /// It announced a generation; numbers only grow.
  void note_generation(std::uint64_t announced) noexcept {
    std::uint64_t known = generation.load(std::memory_order_relaxed);
    while (announced > known && !generation.compare_exchange_weak(known, announced)) {
    }
  }

  const std::string pool, id;
  const std::uint64_t hash;  // of pool-independent id: the form in which tokens and stores name it

  // What each request touches, on one line: with hundreds of backends each has left the cache meanwhile. The
  // counters are written by every worker, relaxed.
  alignas(64) std::atomic<std::uint32_t> in_flight{0};
  /// Small, for tables with a place for each: no other living backend has it, later ones may.
  const std::uint32_t number;
  std::atomic<std::uint64_t> served{0};      // requests sent to it, ever
  std::atomic<std::uint64_t> generation{0};  // the highest that it announced; 0: never
  FailureStreaks failures;
  /// Attempts by what they brought and the time to their first byte; by worker.
  std::vector<TrafficCounts> traffic;
  /// No connection could be made, and the control thread was told; it takes this back.
  std::atomic<bool> lost{false};

  /// Only those ask whose request has waited for long.
  alignas(64) Liveness liveness;

  /// The load that its sessions are expected to bring; see balance/expected_load.h.
  alignas(64) ExpectedLoad expected;

  /// Only touched when `max_in_flight` is set.
  alignas(64) const std::shared_ptr<PlaceQueue> queue;
};

inline std::uint64_t backend_hash(std::string_view id) noexcept {
  return hash_text(id);
}

/// What choosing looks at comes first, on one line of the cache.
struct alignas(64) Member {
  std::shared_ptr<Backend> backend;
  std::uint32_t weight = 1;  // 0 never receives new sessions
  bool backup = false;
  std::uint32_t max_in_flight = 0;  // 0: none
  Admin admin = Admin::ready;
  Health health = Health::unknown;
  Ejected ejected = Ejected::no;
  bool leaving = false;   // its drain is past its deadline: the sessions it still has move, a few at a time
  bool nowhere = false;   // its name has no address: it is down whatever else is known
  bool panic = false;     // too few are in service: what probes and traffic showed does not count
  bool untested = false;  // not probed yet, while another is known to be up: nothing new for the moment
  std::uint32_t full_weight = 0;  // what `weight` grows to in a slow start; 0: it is whole
  config::Address address;

  // Three separate facts (the operator's wish, probes, live traffic), combined here and nowhere else.

  /// May begin sessions: wanted, not known dead, of positive weight.
  bool accepts_new() const noexcept {
    return admin == Admin::ready && weight > 0 &&
           (panic || (health != Health::down && ejected == Ejected::no && !untested));
  }
  /// May go on serving those whose hash leads here: bad answers are its own, as for bound sessions, but it
  /// keeps nobody whom the operator wants elsewhere.
  bool accepts_keyed() const noexcept {
    return admin == Admin::ready && weight > 0 &&
           (panic || (health != Health::down && ejected != Ejected::all));
  }
  /// What decides where a hash leads: a slow start must not lead it elsewhere, and back.
  std::uint32_t hash_weight() const noexcept { return full_weight != 0 ? full_weight : weight; }
  /// May go on serving sessions that are bound to it: drain, weight 0 and bad answers still do.
  bool accepts_bound() const noexcept {
    return admin != Admin::maint && (panic || (health != Health::down && ejected != Ejected::all));
  }
};

struct PoolSnapshot {
  std::string name;
  std::vector<Member> members;  // in configuration order
  /// Makes find() cost the same with 3 members and with 5,000. Whoever fills `members` calls it afterwards.
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
  std::vector<std::pair<std::uint64_t, std::ptrdiff_t>> by_hash_;  // to places in `members`
};

/// The backends that this request has tried already. Fixed size: attempts are few.
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
