// Permits and connections of an attempt, and what becomes of the connection afterwards.

#include "proxy/attempts.h"

#include <algorithm>

#include "http/connection_auth.h"
#include "util/prefetch.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

bool Attempts::acquire_permit() {
  Backend& backend = *attempt_.member->backend;
  if (attempt_.member->max_in_flight == 0) {
    backend.in_flight.fetch_add(1, std::memory_order_relaxed);
    attempt_.permit = Permit(attempt_.member->backend, false);
    return true;
  }
  if (!backend.queue->enter(backend, attempt_.member->max_in_flight)) return false;
  attempt_.permit = Permit(attempt_.member->backend, true);
  return true;
}

Task<bool> Attempts::wait_for_permit() {
  if (!in_service()) co_return false;  // by a newer snapshot than this request's
  const Clock::Steady began = turn_.now();
  QueuedPermit line(attempt_.member->backend, attempt_.member->max_in_flight, worker_.loop.ctx, turn_.wake());
  const QueuedRequest heeds_snapshots(worker_.queued_requests, turn_.wake());
  while (!line.granted()) {
    client_.watch();
    bool late = false;
    const Clock::Steady until = std::min(began + request_.timeouts.queue, request_.deadline);
    if (!client_.cut_short()) late = co_await turn_.wait(until);
    if (line.granted()) break;
    const bool gone = client_.gone() || client_.cut_short();
    if (gone)
      fail(FailSide::client, Kind::gone);
    else if (request_.is_overdue(turn_.now()))
      fail(FailSide::self, Kind::deadline);
    else if (in_service() && late)
      fail(FailSide::self, Kind::queue_full);
    if (!attempt_.failure) continue;
    request_.took.queue += turn_.now() - began;
    co_return false;
  }
  attempt_.permit = line.take();
  request_.took.queue += turn_.now() - began;
  co_return true;
}

bool Attempts::still_serves() {
  return request_.took.queue.count() == 0 || in_service();
}

/// By the newest snapshot, the chosen backend still serves this request. If not, sets the failure
/// `out_of_service`, and why.
bool Attempts::in_service() {
  const Backend& backend = *attempt_.member->backend;
  // The next leg of a connection's authentication can only go over the same connection.
  if (connector_.has_reserved() && request_.head.connection_auth) {
    const Connector::Reserved at = connector_.reserved_in(request_.pool->config.name);
    if (at.leg_due && at.backend == &backend) return true;
  }
  const auto& pools = worker_.snapshot->shared->pools;
  const auto newest = std::find_if(pools.begin(), pools.end(), [&](const auto& p) {
    return p->config.name == request_.pool->config.name;
  });
  if (newest == pools.end()) return true;  // the pool was removed: no other backend of it could serve
  const Member* const m = (*newest)->snapshot->find(backend.hash);
  bool serves = m != nullptr && (m->panic || !backend.liveness.down());
  if (serves) {
    using What = Recognized::What;
    const bool keyed = session_.recognized.what == What::derived || session_.recognized.what == What::unbound;
    const bool bound =
        session_.recognized.what == What::session || session_.recognized.what == What::detached;
    serves = bound ? m->accepts_bound() : keyed ? m->accepts_keyed() : m->accepts_new();
  }
  if (serves) return true;
  fail(FailSide::self, Kind::out_of_service);
  attempt_.left_for = m == nullptr               ? Reason::removed
                      : m->admin == Admin::maint ? Reason::maint
                                                 : Reason::failover;
  return false;
}

/// Takes the backend connection reserved for this client, if there is one: all its requests to this backend
/// use it. A later leg of a handshake cannot use any other connection; if it is lost, the attempt fails
/// (`handshake_lost`).
bool Attempts::take_reserved_connection() {
  const Connector::TakenReserved own = connector_.take_reserved(target(), backend_, turn_.now());
  attempt_.leg = own.leg_due && request_.head.connection_auth;
  attempt_.belongs = own.taken;
  if (!own.taken && attempt_.leg) fail(FailSide::self, Kind::handshake_lost);
  return own.taken;
}

/// After the response head: notes whether the backend treats this connection as authenticated for one user,
/// so that it must be reserved for this client. An HTTP/2 connection has no one user: browsers repeat the
/// request by HTTP/1.1.
void Attempts::note_connection_auth() {
  if (backend_.is_shared()) return;  // nothing is authenticated there but single requests
  const bool may_ask = memory_.response.status == 401 || memory_.response.status == 407;
  if (!may_ask && !request_.head.connection_auth) return;
  const ConnectionAuth asked = asked_connection_auth(memory_.response.status, memory_.response.fields);
  if (asked != ConnectionAuth::none && request_.head.version == Version::http2 &&
      connection_.listener->config.speaks(config::Alpn::http11))
    return fail(FailSide::client, Kind::http1_required);
  attempt_.belongs = attempt_.belongs || request_.head.connection_auth || asked != ConnectionAuth::none;
  attempt_.leg_due = request_.head.connection_auth && asked == ConnectionAuth::continued;
}

Connector::Target Attempts::target() const noexcept {
  using Needs = Connector::Needs;
  Needs needs = request_.head.tunnel ? Needs::tunnel : Needs::anything;
  if (attempt_.http1_only || request_.head.connection_auth) needs = Needs::http1;
  return {*request_.pool, *attempt_.member, needs};
}

bool Attempts::take_idle_connection() {
  attempt_.belongs = false;
  if (attempt_.fresh_only) return false;
  const bool certain =
      !idempotent(request_.head.method) || attempt_.count >= request_.pool->config.failover.attempts;
  return connector_.take_idle(target(), certain, backend_, turn_.now());
}

Task<bool> Attempts::open_connection() {
  const std::unique_ptr<PendingConnect> pending =
      connector_.connect(target(), attempt_.began, request_.timeouts.connect, turn_.wake(), backend_);
  Io io = Io::blocked;
  for (;;) {
    client_.watch();
    io = pending->step(turn_.now());
    if (io == Io::failed)
      fail(FailSide::backend, pending->timed_out() ? Kind::connect_timeout : Kind::refused);
    if (io != Io::blocked) break;
    const Clock::Steady until = std::min(pending->deadline(), request_.deadline);
    if (!client_.cut_short()) co_await turn_.wait(until);
    const bool gone = client_.gone() || client_.cut_short();
    if (!gone && !request_.is_overdue(turn_.now())) continue;
    if (gone)
      fail(FailSide::client, Kind::gone);
    else
      fail(FailSide::self, Kind::deadline);
    break;
  }
  attempt_.last_progress = turn_.now();
  request_.took.connect += attempt_.last_progress - attempt_.began;
  co_return io == Io::ready;
}

void Attempts::release_backend() {
  attempt_.permit.free();
  if (!backend_->has_connection()) return;
  if (backend_.is_shared()) {
    backend_->abort();
    backend_.release();
    return;
  }
  if (backend_->reusable() && !worker_.stopping)
    keep_backend();
  else if (attempt_.leg_due)
    // Closing tells the client that its handshake has ended, as the backend itself would.
    response_.closes = true;
  backend_->abort();
  backend_.release();
}

/// Keeps the connection for this client's next request if it is reserved, else for any request. Not if the
/// backend announced that it will close it at once.
void Attempts::keep_backend() {
  const auto promise = backend_->idle_promise();
  if (promise && promise->count() == 0 && !attempt_.leg_due) return;
  const Clock::Steady until =
      promise && !attempt_.leg_due ? turn_.now() + *promise : Clock::Steady(IdleConnections::no_promise);
  const Connector::Keep how{attempt_.belongs, attempt_.leg_due, until, request_.arrival.client};
  connector_.keep(target(), backend_, how, turn_.now());
}

}  // namespace remora
