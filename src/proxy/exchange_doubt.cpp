// A request has waited for long: is the page slow, or is the server hung? Its backend is probed at once, and
// when that fails twice, the request goes elsewhere instead of ending in 504.

#include "proxy/exchange.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

/// Looked into again at twice the time, and so on: a server may hang while its page is slow.
Clock::Steady Exchange::next_doubt() const noexcept {
  constexpr unsigned most = 20;
  return attempt_.last_progress +
         request_.suspect_after * (std::int64_t{1} << std::min(attempt_.doubts, most));
}

void Exchange::doubt() {
  ++attempt_.doubts;
  if (!may_leave()) return;
  Liveness& of = attempt_.member->backend->liveness;
  // What others found a moment ago is good for all: slow pages cost a few probes a second, however many.
  if (of.down() || of.alive_at(turn_.now() - request_.suspect_after / 4)) return;
  worker_.doubters.add(attempt_.doubter, *attempt_.member->backend);
  if (!of.doubt()) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      attempt_.last_progress + request_.timeouts.response - turn_.now());
  worker_.report_doubt(attempt_.member->backend, std::max(left * 3 / 4, std::chrono::milliseconds(1)));
}

/// Once a request: one that hangs whoever serves it must not take out one server after the other.
bool Exchange::may_leave() const noexcept {
  return !attempt_.left_hung && !attempt_.leg && idempotent(request_.head.method) &&
         !attempt_.replay_overflow && !attempt_.member->panic &&
         attempt_.count < request_.pool->config.failover.attempts && somebody_else();
}

/// While the request waited its backend was found to be down; or, with no time left, to be mute so far.
bool Exchange::leaves_hung(bool no_time_left) {
  const Liveness& of = attempt_.member->backend->liveness;
  if (attempt_.doubts == 0 || !(of.down() || (no_time_left && of.mute_since(attempt_.last_progress))) ||
      !may_leave())
    return false;
  attempt_.left_hung = true;
  fail(FailSide::backend, Kind::hung);
  return true;
}

/// Excludes those that were found to be down since the snapshot of this request was made.
void Exchange::pass_over_the_hung() noexcept {
  for (const Member& m : request_.pool->snapshot->members)
    if (m.health != Health::down && m.backend->liveness.down() && !attempt_.tried.contains(m.backend.get()))
      attempt_.tried.add(m.backend.get());
}

bool Exchange::somebody_else() const noexcept {
  for (const Member& m : request_.pool->snapshot->members)
    if (&m != attempt_.member && (is_keyed() ? m.accepts_keyed() : m.accepts_new()) &&
        !attempt_.tried.contains(m.backend.get()))
      return true;
  return false;
}

}  // namespace remora
