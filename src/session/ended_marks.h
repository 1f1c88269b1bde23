// Marks of sessions that are over: while one stands, no older token brings its session back.
//
// Unlike every other table this one forgets nothing before its time, whatever comes: a client who ends many
// sessions must not bring back another's. Three stages, each bounded:
//
// 1. A table with an entry for each, up to `capacity`.
// 2. When it is full, two Bloom filters that take turns, for another 2 x max(capacity, 32768) marks: 32 bits
//    and 22 probes a mark, so that both together call fewer than 1 in 2 million living sessions over. A
//    filter is emptied once the last of its marks has expired.
// 3. When both are full, a new mark is refused and counted (remora_session_marks_refused_total): those that
//    stand are kept. Its session can come back with an older token until that expires.
//
// With the defaults that is 3 million ended sessions within one and a quarter idle timeouts.
// Threading: any thread. Usually the filters do not exist, and cost one relaxed load.
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
#include "session/moment.h"

namespace remora {

/// Set of session ids with a common end. Threading: the caller's.
class EndedFilter {
 public:
  explicit EndedFilter(std::size_t capacity);
  /// The other way round.
  static std::size_t capacity_of(std::uint64_t words) noexcept { return words * 64 / bits_per_mark; }
  bool full() const noexcept { return count_ >= capacity_; }
  std::uint32_t expires() const noexcept { return expires_; }
  void add(const SessionId& id, std::uint32_t expires);
  bool contains(const SessionId& id) const noexcept;
  void append_to(std::string& out) const;
  /// The marks of one of another process; false: it is cut, or of another size.
  bool merge(std::string_view& bytes);

 private:
  static constexpr unsigned probes = 22, bits_per_mark = 32;
  template <class F>
  void for_each_bit(const SessionId& id, F f) const;
  std::size_t capacity_, count_ = 0;
  std::uint32_t expires_ = 0;  // tick, of the mark that ends last
  std::vector<std::uint64_t> words_;
};

class EndedSpill {
 public:
  explicit EndedSpill(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 32768)) {}
  /// False: both filters are full.
  bool add(const SessionId& id, std::uint32_t expires, std::uint32_t now);
  /// Until when the session is over; nothing: it is not known to be.
  std::optional<std::uint32_t> find(const SessionId& id, std::uint32_t now) const;
  void sweep(std::uint32_t now);
  /// For another process (session/handover.h): as many filters as there are.
  std::vector<std::string> export_all() const;
  bool import(std::string_view& bytes);

 private:
  const std::size_t capacity_;
  std::atomic<bool> used_{false};
  mutable std::shared_mutex mutex_;
  std::unique_ptr<EndedFilter> current_, previous_;  // guarded by mutex_
};

}  // namespace remora
