// SessionGauge: how many sessions a backend has, for `max_sessions`.
//
// Counts the sessions in this process's tables (session/tally.h), and seats: sessions that are about to begin
// and are not in a table yet. So concurrent first requests cannot exceed the limit together.
//
// Threading: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace remora {

class SessionGauge {
 public:
  std::uint32_t sessions() const noexcept { return sessions_.load(std::memory_order_relaxed); }
  void add() noexcept { sessions_.fetch_add(1, std::memory_order_relaxed); }
  /// False: there are `limit` sessions or more.
  bool add_below(std::uint32_t limit) noexcept {
    std::uint32_t n = sessions();
    do {
      if (n >= limit) return false;
    } while (!sessions_.compare_exchange_weak(n, n + 1, std::memory_order_relaxed));
    return true;
  }
  /// Never goes below 0.
  void remove() noexcept {
    std::uint32_t n = sessions();
    while (n > 0 && !sessions_.compare_exchange_weak(n, n - 1, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint32_t> sessions_{0};
};

/// A session that is about to begin, counted until the seat is given up: when a table counts the session, or
/// when it did not begin.
class Seat {
 public:
  Seat() = default;
  /// `gauge` counts the session already.
  explicit Seat(std::shared_ptr<SessionGauge> gauge) noexcept : gauge_(std::move(gauge)) {}
  Seat(Seat&& o) noexcept = default;
  Seat& operator=(Seat&& o) noexcept {
    if (this != &o) {
      give_up();
      gauge_ = std::move(o.gauge_);
    }
    return *this;
  }
  ~Seat() { give_up(); }
  void give_up() noexcept {
    if (const auto gauge = std::exchange(gauge_, nullptr)) gauge->remove();
  }

 private:
  std::shared_ptr<SessionGauge> gauge_;
};

}  // namespace remora
