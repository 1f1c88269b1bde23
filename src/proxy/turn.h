// Turn: how the coroutine of a client connection waits, and how long it may run.
//
// It waits for any event of its connection (sockets, deadlines, permits, store replies) on one `EventFlags`.
// It serves a bounded number of requests, then lets the worker's other connections run: a client that
// pipelines many requests must not starve the others, even if all get a reply without waiting (404, 401, 429,
// redirects). The clocks are read at most once between two waits.
//
// Threading: its worker's thread. Lifetime: that of its Active, which successive connections borrow
// (active.h).
#pragma once

#include <boost/asio/post.hpp>
#include <new>

#include "net/event_flags.h"
#include "net/loop.h"
#include "remora/clock.h"
#include "session/clock_reading.h"

namespace remora {

class Turn {
 public:
  Turn(Loop& loop, const Clock& clock) : loop_(loop), clock_(clock), wake_(loop.wheel) {}

  EventFlags& wake() noexcept { return wake_; }

  /// Another connection starts to use it: discards events of the last one.
  void begin() noexcept {
    static_cast<void>(wake_.take());
    wake_.new_turn();
    requests_ = 0;
  }

  // Waiting ----------------------------------------------------------------------------------------

  /// Waits for any event. True: the deadline has passed. After pause() it only lets others run. Not a
  /// coroutine, so that waiting costs no frame.
  auto wait(Clock::Steady deadline) {
    return asio::async_initiate<const asio::deferred_t, void(bool)>(
        [this](auto handler, Clock::Steady until) { begin_wait(until, std::move(handler)); }, asio::deferred,
        deadline);
  }
  /// Lets all other connections with pending events run first.
  auto let_others_run() {
    pauses_ = true;
    return wait(Clock::Steady::max());
  }
  /// The next wait() only yields: there is more to do, but other connections go first.
  void pause() noexcept { pauses_ = true; }
  /// pause() if `more`, else cancels it.
  void pause_if(bool more) noexcept { pauses_ = more; }

  // Fairness ---------------------------------------------------------------------------------------

  /// Counts a request. True: this turn has had its share, so let others run first.
  bool is_spent() noexcept {
    if (turn_ != wake_.turn()) {
      turn_ = wake_.turn();
      requests_ = 0;
    }
    return ++requests_ > max_requests;
  }
  /// This request was so expensive that it uses up the turn.
  void spend() noexcept { requests_ = max_requests; }
  /// spend() was called since begin().
  bool was_expensive() const noexcept { return requests_ >= max_requests; }

  // Clocks -----------------------------------------------------------------------------------------

  /// Steady time, as of the first call since the last wait.
  Clock::Steady now() const noexcept {
    if (steady_turn_ != wake_.turn()) {
      steady_turn_ = wake_.turn();
      steady_ = clock_.steady_now();
    }
    return steady_;
  }
  /// Wall time, as of the first call since the last wait.
  Clock::Wall wall_now() const noexcept {
    if (wall_turn_ != wake_.turn()) {
      wall_turn_ = wake_.turn();
      wall_ = clock_.wall_now();
    }
    return wall_;
  }
  /// Both clocks.
  ClockReading clock_reading() const noexcept {
    const Clock::Steady steady = now();
    return {steady, wall_now()};
  }

 private:
  template <class Handler>
  void begin_wait(Clock::Steady until, Handler handler) {
    auto resume = [this, until, handler = std::move(handler)](unsigned bits) mutable {
      std::move(handler)((bits & EventFlags::deadline) != 0 && now() >= until);
    };
    const bool only_yields = std::exchange(pauses_, false);
    if (!only_yields) wake_.until(until);
    if (!only_yields && !wake_.any_pending()) return wake_.call(std::move(resume));
    const unsigned bits = only_yields ? 0 : wake_.take();
    // The coroutine was suspended before this is called, so an exception would not reach it: it would go to
    // the event loop, and destroy the coroutine on its way. So the handler is not part of what is posted.
    wake_.hold(std::move(resume));
    try {
      asio::post(loop_.ctx.get_executor(), [this, bits] { wake_.resume_held(bits); });
    } catch (const std::bad_alloc&) {
      wake_.resume_held_by_event();
    }
  }

  static constexpr unsigned max_requests = 8;

  Loop& loop_;
  const Clock& clock_;
  EventFlags wake_;
  bool pauses_ = false;
  unsigned turn_ = 0, requests_ = 0;  // last seen turn of `wake_`; requests begun in it
  mutable Clock::Steady steady_;
  mutable Clock::Wall wall_;
  mutable unsigned steady_turn_ = 0, wall_turn_ = 0;
};

}  // namespace remora
