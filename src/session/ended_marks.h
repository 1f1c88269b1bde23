// Marks of ended sessions: while a mark stands, no older token brings its session back.
//
// Unlike every other session table, this one never evicts an entry early: a client that ends many sessions
// must not bring back another client's. Three stages, each bounded:
//
// 1. A table with one entry per ended session, up to `capacity` (MoveMemory in moves.h).
// 2. Once the table is full: two Bloom filters that take turns, for another 2 x max(capacity, 32768) marks.
//    They use 32 bits and 22 probes per mark, so that both together report fewer than 1 in 2 million living
//    sessions as ended. A filter is cleared once its last mark has expired.
// 3. Once both filters are full: a new mark is refused and counted (remora_session_marks_refused_total);
//    existing marks stay. The refused session can come back with an older token until that token expires.
//
// With the defaults that is 3 million ended sessions within one and a quarter idle timeouts.
// Threading: any thread. Usually the filters do not exist, and a lookup costs one relaxed load.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "remora/affinity.h"
#include "session/clock_reading.h"

namespace remora {

/// A Bloom filter of session ids that share one expiry. Threading: the caller's.
class EndedFilter {
 public:
  explicit EndedFilter(std::size_t capacity);
  /// The inverse of the constructor: how many marks a filter of that many words holds.
  static std::size_t capacity_of(std::uint64_t words) noexcept { return words * 64 / bits_per_mark; }
  bool full() const noexcept { return count_ >= capacity_; }
  std::uint32_t expires() const noexcept { return expires_; }
  void add(const SessionId& id, std::uint32_t expires);
  bool contains(const SessionId& id) const noexcept;
  void append_to(std::string& out) const;
  /// The expiry in what append_to() wrote; 0: too short.
  static std::uint32_t expiry_in(std::string_view bytes) noexcept;
  /// Replaces it. False: too short.
  static bool set_expiry_in(std::string& bytes, std::uint32_t expires) noexcept;
  /// Adds the marks of another process's filter. False: truncated, or a filter of another size.
  bool merge(std::string_view& bytes);

 private:
  static constexpr unsigned probes = 22, bits_per_mark = 32;
  template <class F>
  void for_each_bit(const SessionId& id, F f) const;
  std::size_t capacity_, count_ = 0;
  std::uint32_t expires_ = 0;  // tick; of the mark that expires last
  std::vector<std::uint64_t> words_;
};

class EndedSpill {
 public:
  explicit EndedSpill(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 32768)) {}
  /// Adds a mark. False: both filters are full.
  bool add(const SessionId& id, std::uint32_t expires, std::uint32_t now);
  /// The tick until which the session counts as ended; nothing: it has no mark.
  std::optional<std::uint32_t> find(const SessionId& id, std::uint32_t now) const;
  void sweep(std::uint32_t now);
  /// For hot restart (session/handover.h): one text per filter. import() reads one; false: truncated, or both
  /// filters exist already.
  std::vector<std::string> export_all() const;
  bool import(std::string_view& bytes);

 private:
  const std::size_t capacity_;
  std::atomic<bool> used_{false};
  mutable std::shared_mutex mutex_;
  std::unique_ptr<EndedFilter> current_, previous_;  // guarded by mutex_
};

}  // namespace remora
