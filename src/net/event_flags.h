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
    if (waiting()) destroy_(room_);
  }

  /// Sets bits. If the owner is waiting, resumes it inside this call.
  void set(unsigned bits) {
    pending_ |= bits;
    if (waiting()) resume();
  }

  /// Returns and clears the pending bits.
  unsigned take() noexcept { return std::exchange(pending_, 0); }

  /// Sets when the `deadline` bit is set. Replaces the previous deadline; postponing costs a store.
  void until(Clock::Steady at) { arm(wheel_, at); }
  void no_deadline() noexcept { disarm(); }

  bool any_pending() const noexcept { return pending_ != 0; }
  bool waiting() const noexcept { return invoke_ != nullptr; }
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
    static_assert(sizeof(Handler) <= sizeof room_ && alignof(Handler) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(room_)) Handler(std::move(handler));
    invoke_ = [](void* room, unsigned bits) {
      Handler* stored = static_cast<Handler*>(room);
      Handler h(std::move(*stored));  // moved out first: the handler may wait again and reuse this storage
      stored->~Handler();
      std::move(h)(bits);
    };
    destroy_ = [](void* room) { static_cast<Handler*>(room)->~Handler(); };
  }

 private:
  void resume() {
    const auto invoke = std::exchange(invoke_, nullptr);
    ++turn_;
    invoke(room_, std::exchange(pending_, 0));
  }
  void expired() override { set(deadline); }

  DeadlineWheel& wheel_;
  unsigned pending_ = 0, turn_ = 0;
  void (*invoke_)(void*, unsigned) = nullptr;
  void (*destroy_)(void*) = nullptr;
  alignas(std::max_align_t) std::byte room_[64];
};

}  // namespace remora
