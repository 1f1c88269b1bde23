// One timing wheel per thread: setting a deadline costs a store, not a timer.
//
// Why: an Asio timer per operation costs a heap node, a cancellation and a pass through the queue; a request
// has several deadlines and almost none of them fires. Here a deadline is one intrusive entry, moved lazily:
// to postpone it only writes the new time. The wheel then finds the entry in its old slot, too early, and
// relinks it. The wheel ticks every 10 ms while a deadline less than 900 ms away is armed, otherwise every
// 100 ms, and not at all while nothing is armed.
//
// The time comes from a Clock. Normally a timer of the event loop runs the wheel at next_run(). A test with
// its own clock advances that clock and calls run() itself (tests/support/manual_loop.h).
//
// Nothing here needs memory, so that a deadline can stand in for what could not be posted.
//
// Threading: one thread. Lifetime: entries unlink themselves on destruction; the wheel outlives them.
#pragma once

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <cstdint>

#include "remora/clock.h"
#include "remora/task.h"
#include "util/ref.h"

namespace remora {

class DeadlineWheel;

/// A deadline. `expired` may arm it again or destroy the entry.
class DeadlineEntry {
 public:
  DeadlineEntry() = default;
  DeadlineEntry(const DeadlineEntry&) = delete;
  DeadlineEntry& operator=(const DeadlineEntry&) = delete;

  void arm(DeadlineWheel& wheel, Clock::Steady at) noexcept;
  void disarm() noexcept { at_ = never; }
  bool armed() const noexcept { return at_ != never; }
  Clock::Steady at() const noexcept { return at_; }

 protected:
  virtual ~DeadlineEntry() { unlink(); }
  virtual void expired() = 0;

 private:
  friend class DeadlineWheel;
  static constexpr Clock::Steady never = Clock::Steady::max();
  void unlink() noexcept;

  Clock::Steady at_ = never;        // the deadline
  Clock::Steady slot_after_{};      // while linked: a deadline after this needs no relinking
  DeadlineWheel* wheel_ = nullptr;  // while linked
  DeadlineEntry* next_ = nullptr;
  DeadlineEntry** link_ = nullptr;
};

class DeadlineWheel {
 public:
  static constexpr std::chrono::milliseconds tick{10};
  /// Who calls run(): a timer on the real clock, or the owner (its clock is not the real one).
  enum class Driver : std::uint8_t { timer, owner };

  /// The clock outlives the wheel.
  DeadlineWheel(asio::io_context& ctx, const Clock& clock, Driver driver);
  ~DeadlineWheel();

  /// Stops ticking permanently, so that the io_context can run out of work.
  void stop();
  /// Expires every entry due at `now`.
  void run(Clock::Steady now);
  /// When run() must be called next; `never` if nothing is armed.
  Clock::Steady next_run() const noexcept { return next_run_; }
  static constexpr Clock::Steady never = Clock::Steady::max();
  Clock::Steady now() const noexcept { return clock_.steady_now(); }

 private:
  friend class DeadlineEntry;
  class TimerRoom;
  template <class T>
  struct TimerAllocator;
  struct OnTick;
  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;
  // 10.24 s; later deadlines are relinked once per revolution.
  static constexpr std::size_t slot_count = 1024;

  std::int64_t tick_of(Clock::Steady) const noexcept;
  void link(DeadlineEntry&, std::int64_t tick) noexcept;
  void push(DeadlineEntry*& head, DeadlineEntry&) noexcept;
  void schedule(Clock::Steady now) noexcept;

  const Clock& clock_;
  const Driver driver_;
  const Ref<TimerRoom> room_;
  Timer timer_;  // unused when the owner drives
  const Clock::Steady start_;
  std::array<DeadlineEntry*, slot_count> slots_{};
  std::size_t linked_ = 0;
  std::int64_t done_ = 0;       // ticks handled so far
  Clock::Steady near_until_{};  // ticks are 10 ms until this time
  Clock::Steady next_run_ = never;
  bool stopped_ = false;
};

}  // namespace remora
