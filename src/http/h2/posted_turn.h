// PostedTurn: the next turn of a session, posted to its loop once, however often it is asked for; and the one
// deadline of the session.
//
// While several streams are open, the turn waits until the loop has asked the kernel for events once more:
// responses of other streams may be there already, and then leave in the same write.
//
// Threading: one thread. Lifetime: a member of its session. A turn that was posted may outlive it.
#pragma once

#include <chrono>

#include "net/deadlines.h"
#include "net/loop.h"
#include "util/ref.h"

namespace remora {

class Http2Session;

class PostedTurn final : private DeadlineEntry {
 public:
  /// Throws std::bad_alloc.
  PostedTurn(Loop& loop, Http2Session& session);
  ~PostedTurn() override;

  /// Posts a turn, unless one is due.
  void post() noexcept;
  /// After this time the session's time_is_up() is called.
  void set_deadline(std::chrono::nanoseconds after);
  using DeadlineEntry::disarm;

 private:
  /// What a posted turn holds on to.
  struct Target : RefCounted<Target> {
    Target(Loop& l, Http2Session& s) noexcept : loop(l), session(&s) {}
    Loop& loop;
    Http2Session* session;  // null: it is gone
  };
  void expired() override;
  bool try_post() noexcept;
  void run();

  Ref<Target> target_;
  bool pending_ = false;
  bool polled_ = false;  // it has waited for other streams' events
};

}  // namespace remora
