#include "http/h2/posted_turn.h"

#include <boost/asio/post.hpp>
#include <new>
#include <utility>

#include "http/h2/session.h"

namespace remora {

PostedTurn::PostedTurn(Loop& loop, Http2Session& session) : target_(new Target(loop, session)) {}

PostedTurn::~PostedTurn() {
  target_->session = nullptr;
}

void PostedTurn::post() noexcept {
  if (pending_) return;
  pending_ = try_post();
  // Without memory the deadline wheel does it, which needs none.
  if (!pending_ && !armed()) set_deadline({});
}

void PostedTurn::set_deadline(std::chrono::nanoseconds after) {
  DeadlineWheel& wheel = target_->loop.wheel;
  arm(wheel, wheel.now() + after);
}

void PostedTurn::expired() {
  target_->session->time_is_up();
}

/// False: no memory.
bool PostedTurn::try_post() noexcept {
  try {
    asio::post(target_->loop.ctx.get_executor(), [target = target_] {
      if (target->session != nullptr) target->session->turn_.run();
    });
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void PostedTurn::run() {
  Http2Session& session = *target_->session;
  if (session.running() > 1 && !std::exchange(polled_, true) && try_post()) return;
  pending_ = polled_ = false;
  session.posted_turn();
}

}  // namespace remora
