// Counts sessions per backend by walking the tables, using at most about 1/20 of the time.
//
// Learned sessions are counted exactly. Issued ones are counted if this instance has seen them within their
// idle timeout, so the count is complete only after it has run that long.
// Threading: control thread.
#pragma once

#include <map>
#include <utility>

#include "session/memory.h"

namespace remora {

class SessionCounter {
 public:
  struct Count {
    std::uint64_t learned = 0, issued = 0;
    std::uint64_t all() const noexcept { return learned + issued; }
  };

  SessionCounter(SessionMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}
  /// Counts again, unless the last count is too recent for what it cost.
  void refresh(ClockReading now);
  Count at(std::uint16_t pool, std::uint64_t backend) const;
  std::uint64_t in_pool(std::uint16_t pool) const;

 private:
  SessionMemory& memory_;
  const Clock& clock_;  // measures the cost of a count
  std::map<std::pair<std::uint16_t, std::uint64_t>, Count> counts_;
  Clock::Steady counted_at_{};
  std::chrono::nanoseconds cost_{0};
  bool counted_ = false;
};

}  // namespace remora
