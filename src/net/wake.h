// Wake: the one thing that a coroutine of the request path waits for.
//
// Each event source (client socket, backend socket, a deadline, a granted place, a stop) sets a bit;
// the owner is the only waiter. So "wait for any of these" needs no operator, no frame and no
// allocation, and an event that comes while nobody waits is kept as a bit.
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

class Wake final : private DeadlineEntry {
 public:
  enum Bit : unsigned {
    client = 1,
    backend = 2,
    deadline = 4,
    granted = 8,
    stop = 16,
    replied = 32,
    verdict = 64
  };

  explicit Wake(DeadlineWheel& wheel) : wheel_(wheel) {}
  ~Wake() override {
    if (waiting()) destroy_(room_);
  }

  /// Sets bits, and resumes the waiter inside this call if there is one.
  void set(unsigned bits) {
    pending_ |= bits;
    if (waiting()) resume();
  }

  /// The bits so far; they are forgotten.
  unsigned take() noexcept { return std::exchange(pending_, 0); }

  /// When the `deadline` bit comes. Replaces the previous one; putting it off costs a store.
  void until(Clock::Steady at) { arm(wheel_, at); }
  void no_deadline() noexcept { disarm(); }

  bool any_pending() const noexcept { return pending_ != 0; }
  bool waiting() const noexcept { return invoke_ != nullptr; }
  /// Changes each time the owner goes on after waiting: what was read of a clock before is old then.
  unsigned turn() const noexcept { return turn_; }
  /// The owner has waited for something else.
  void new_turn() noexcept { ++turn_; }

  /// Waits until at least one bit is set and takes them all. REQUIRES: nobody waits, none is pending.
  auto any() {
    return asio::async_initiate<const asio::deferred_t, void(unsigned)>(
        [this](auto handler) { call(std::move(handler)); }, asio::deferred);
  }
  /// The same with a function: `handler(bits)`, once. REQUIRES: nobody waits, none is pending.
  template <class Handler>
  void call(Handler handler) {
    static_assert(sizeof(Handler) <= sizeof room_ && alignof(Handler) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(room_)) Handler(std::move(handler));
    invoke_ = [](void* room, unsigned bits) {
      Handler* stored = static_cast<Handler*>(room);
      Handler h(std::move(*stored));  // the waiter may wait again in this very place
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
