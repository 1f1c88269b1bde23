// A request has waited for long: is the page slow, or is the server hung? Its backend is probed at once, and
// when that fails twice, the request goes elsewhere instead of ending in 504.

#include "proxy/exchange.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

/// Looked into again at twice the time, and so on: a server may hang while its page is slow.
Clock::Steady Exchange::next_doubt() const noexcept {
  constexpr unsigned most = 20;
  return moved_at_ + suspect_after_ * (std::int64_t{1} << std::min(doubts_, most));
}

void Exchange::doubt() {
  ++doubts_;
  if (!may_leave()) return;
  Liveness& of = member_->backend->liveness;
  // What others found a moment ago is good for all: slow pages cost a few probes a second, however many.
  if (of.down() || of.alive_at(now() - suspect_after_ / 4)) return;
  worker_.doubters.add(doubter_, *member_->backend);
  if (!of.doubt()) return;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(moved_at_ + timeouts_.response - now());
  worker_.report_doubt(member_->backend, std::max(left * 3 / 4, std::chrono::milliseconds(1)));
}

/// Once a request: one that hangs whoever serves it must not take out one server after the other.
bool Exchange::may_leave() const noexcept {
  return !left_hung_ && !leg_ && idempotent(request_.method) && !replay_overflow_ && !member_->panic &&
         attempts_ < pool_->config.failover.attempts && somebody_else();
}

/// While the request waited its backend was found to be down; or, with no time left, to be mute so far.
bool Exchange::leaves_hung(bool no_time_left) {
  const Liveness& of = member_->backend->liveness;
  if (doubts_ == 0 || !(of.down() || (no_time_left && of.mute_since(moved_at_))) || !may_leave())
    return false;
  left_hung_ = true;
  fail(FailSide::backend, Kind::hung);
  return true;
}

/// Excludes those that were found to be down since the snapshot of this request was made.
void Exchange::pass_over_the_hung() noexcept {
  for (const Member& m : pool_->snapshot->members)
    if (m.health != Health::down && m.backend->liveness.down() && !tried_.contains(m.backend.get()))
      tried_.add(m.backend.get());
}

bool Exchange::somebody_else() const noexcept {
  for (const Member& m : pool_->snapshot->members)
    if (&m != member_ && (is_keyed() ? m.accepts_keyed() : m.accepts_new()) &&
        !tried_.contains(m.backend.get()))
      return true;
  return false;
}

}  // namespace remora
