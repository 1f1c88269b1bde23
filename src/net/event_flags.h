// EventFlags: the event flags that a coroutine of the request path waits on.
//
// Each event source (client socket, backend socket, a deadline, a granted permit, a store's reply, a probe's
// verdict, a new snapshot, a stop) sets a bit; the owner is the only waiter. So "wait for any of these" needs
// no operator, no frame and no allocation, and an event that arrives while the owner is not waiting is kept
// as a bit.
//
//   unsigned bits = wake.take();
//   if (bits == 0) bits = co_await wake.any();
//
// Threading: one thread. Lifetime: must outlive the coroutine that waits on it.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "net/deadlines.h"
#include "remora/task.h"

namespace remora {

class EventFlags final : private DeadlineEntry {
 public:
  enum Bit : unsigned {
    client = 1,
    backend = 2,
    deadline = 4,
    granted = 8,
    stop = 16,
    replied = 32,
    verdict = 64,
    snapshot = 128
  };

  explicit EventFlags(DeadlineWheel& wheel) : wheel_(wheel) {}
  ~EventFlags() override {
    if (waiting_ != nullptr) waiting_(room_, nullptr);
    if (held_ != nullptr) held_(room_, nullptr);
  }

  /// Sets bits. If the owner is waiting, resumes it inside this call.
  void set(unsigned bits) {
    pending_ |= bits;
    if (waiting()) resume();
  }

  /// Returns and clears the pending bits.
  unsigned take() noexcept { return std::exchange(pending_, 0); }

  /// Sets when the `deadline` bit is set. Replaces the previous deadline; postponing costs a store.
  void until(Clock::Steady at) noexcept { arm(wheel_, at); }
  void no_deadline() noexcept { disarm(); }

  bool any_pending() const noexcept { return pending_ != 0; }
  bool waiting() const noexcept { return waiting_ != nullptr; }
  /// Changes each time the owner resumes from a wait: clock readings from an earlier turn are stale.
  unsigned turn() const noexcept { return turn_; }
  /// Starts a new turn: the owner has waited on something else.
  void new_turn() noexcept { ++turn_; }

  /// Waits until at least one bit is set, and takes all of them. REQUIRES: nobody is waiting, and no bit is
  /// pending.
  auto any() {
    return asio::async_initiate<const asio::deferred_t, void(unsigned)>(
        [this](auto handler) { call(std::move(handler)); }, asio::deferred);
  }
  /// Callback form: calls `handler(bits)` once. REQUIRES: nobody is waiting, and no bit is pending.
  template <class Handler>
  void call(Handler handler) {
    waiting_ = store(std::move(handler));
  }

  // Yielding ---------------------------------------------------------------------------------------

  /// As call(), but events only set their bits: resume_held() calls the handler. REQUIRES: nobody is waiting.
  template <class Handler>
  void hold(Handler handler) {
    held_ = store(std::move(handler));
  }
  /// Calls `handler(bits)` of hold().
  void resume_held(unsigned bits) {
    const Stored invoke = std::exchange(held_, nullptr);
    ++turn_;
    invoke(room_, &bits);
  }
  /// Without memory to post resume_held(): the deadline wheel, which needs none, or the next event resumes
  /// it.
  void resume_held_by_event() noexcept {
    waiting_ = std::exchange(held_, nullptr);
    until(wheel_.now());
  }

 private:
  /// Calls the handler in `room` with these bits (null: does not call it), and destroys it.
  using Stored = void (*)(void* room, const unsigned* bits);

  template <class Handler>
  Stored store(Handler handler) {
    static_assert(sizeof(Handler) <= sizeof room_ && alignof(Handler) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(room_)) Handler(std::move(handler));
    return [](void* room, const unsigned* bits) {
      Handler* stored = static_cast<Handler*>(room);
      Handler h(std::move(*stored));  // moved out first: the handler may wait again and reuse this storage
      stored->~Handler();
      if (bits != nullptr) std::move(h)(*bits);
    };
  }
  void resume() {
    const Stored invoke = std::exchange(waiting_, nullptr);
    const unsigned bits = std::exchange(pending_, 0);
    ++turn_;
    invoke(room_, &bits);
  }
  void expired() override { set(deadline); }

  DeadlineWheel& wheel_;
  unsigned pending_ = 0, turn_ = 0;
  Stored waiting_ = nullptr, held_ = nullptr;  // at most one: who is in `room_`
  alignas(std::max_align_t) std::byte room_[64];
};

}  // namespace remora
