// How many sessions each backend has: the tables walked, but never for more than a twentieth of the time.
//
// Learned sessions are counted exactly; issued ones as this instance has seen them within their idle timeout,
// which is complete only once it has run for that long.
// Threading: control thread.
#pragma once

#include <map>
#include <utility>

#include "session/memory.h"

namespace remora {

class SessionCensus {
 public:
  struct Count {
    std::uint64_t learned = 0, issued = 0;
    std::uint64_t all() const noexcept { return learned + issued; }
  };

  SessionCensus(SessionMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}
  /// Counts anew if the last count is old enough for what it cost.
  void refresh(Moment now);
  Count at(std::uint16_t pool, std::uint64_t backend) const;
  std::uint64_t in_pool(std::uint16_t pool) const;

 private:
  SessionMemory& memory_;
  const Clock& clock_;  // what a count costs
  std::map<std::pair<std::uint16_t, std::uint64_t>, Count> counts_;
  Clock::Steady counted_at_{};
  std::chrono::nanoseconds cost_{0};
  bool counted_ = false;
};

}  // namespace remora
