// SessionTally: counts the sessions in the tables by pool and backend, as they change.
//
// Each table tells it of every change of an entry, under the lock of the entry's shard, so the counts follow
// the tables exactly. Expired entries count until a table drops them.
//
// Threading: any thread; one short lock per session that begins, moves or ends. Lifetime: longer than the
// tables'. A gauge lives while a snapshot or the tally holds it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "remora/session_gauge.h"

namespace remora {

class SessionTally {
 public:
  /// The gauge of a backend. `pool`: the pool's number.
  std::shared_ptr<SessionGauge> gauge(std::uint16_t pool, std::uint64_t backend);
  /// A session has begun at a backend, or has left it. If there is no memory for a first session there, it is
  /// not counted.
  void entered(std::uint16_t pool, std::uint64_t backend) noexcept;
  void left(std::uint16_t pool, std::uint64_t backend) noexcept;

 private:
  struct Part {
    std::mutex mutex;
    std::map<std::pair<std::uint16_t, std::uint64_t>, std::shared_ptr<SessionGauge>> gauges;
  };
  Part& part_of(std::uint64_t backend) noexcept { return parts_[backend % parts_.size()]; }

  std::array<Part, 16> parts_;
};

/// Tells the tally of the changes of one table (ShardedTable's observer). `counted(value)`: the entry is a
/// living session.
template <class Value, bool (*counted)(const Value&) noexcept>
class TallyObserver {
 public:
  TallyObserver() = default;
  explicit TallyObserver(SessionTally* tally) noexcept : tally_(tally) {}
  void changed(const Value* before, const Value* after) const noexcept {
    if (tally_ == nullptr) return;
    const bool was = before != nullptr && counted(*before);
    const bool is = after != nullptr && counted(*after);
    if (was && is && before->pool == after->pool && before->backend == after->backend) return;
    if (is) tally_->entered(after->pool, after->backend);
    if (was) tally_->left(before->pool, before->backend);
  }

 private:
  SessionTally* tally_ = nullptr;
};

}  // namespace remora
