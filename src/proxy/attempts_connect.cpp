// Permits and connections of an attempt, and what becomes of the connection afterwards.

#include "proxy/attempts.h"

#include <algorithm>

#include "http/connection_auth.h"
#include "util/prefetch.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

bool Attempts::acquire_permit() {
  Backend& backend = *attempt().member->backend;
  if (attempt().member->max_in_flight == 0) {
    backend.in_flight.fetch_add(1, std::memory_order_relaxed);
    attempt().permit = Permit(attempt().member->backend, false);
    return true;
  }
  if (!backend.queue->enter(backend, attempt().member->max_in_flight)) return false;
  attempt().permit = Permit(attempt().member->backend, true);
  return true;
}

Task<bool> Attempts::wait_for_permit() {
  if (!in_service()) co_return false;  // by a newer snapshot than this request's
  const Clock::Steady began = turn().now();
  QueuedPermit line(attempt().member->backend, attempt().member->max_in_flight, worker().loop.ctx,
                    turn().wake());
  const QueuedRequest heeds_snapshots(worker().queued_requests, turn().wake());
  while (!line.granted()) {
    client().watch();
    bool late = false;
    const Clock::Steady until = std::min(began + request().timeouts.queue, request().deadline);
    if (!client().cut_short()) late = co_await turn().wait(until);
    if (line.granted()) break;
    const bool gone = client().gone() || client().cut_short();
    if (gone)
      fail(FailSide::client, Kind::gone);
    else if (request().is_overdue(turn().now()))
      fail(FailSide::self, Kind::deadline);
    else if (in_service() && late)
      fail(FailSide::self, Kind::queue_full);
    if (!attempt().failure) continue;
    request().took.queue += turn().now() - began;
    co_return false;
  }
  attempt().permit = line.take();
  request().took.queue += turn().now() - began;
  co_return true;
}

bool Attempts::still_serves() {
  return request().took.queue.count() == 0 || in_service();
}

/// By the newest snapshot, the chosen backend still serves this request. If not, sets the failure
/// `out_of_service`, and why.
bool Attempts::in_service() {
  const Backend& backend = *attempt().member->backend;
  // The next leg of a connection's authentication can only go over the same connection.
  if (connector().has_reserved() && request().head.connection_auth) {
    const Connector::Reserved at = connector().reserved_in(request().pool->config.name);
    if (at.leg_due && at.backend == &backend) return true;
  }
  const auto& pools = worker().snapshot->shared->pools;
  const auto newest = std::find_if(pools.begin(), pools.end(), [&](const auto& p) {
    return p->config.name == request().pool->config.name;
  });
  if (newest == pools.end()) return true;  // the pool was removed: no other backend of it could serve
  const Member* const m = (*newest)->snapshot->find(backend.hash);
  bool serves = m != nullptr && (m->panic || !backend.liveness.down());
  if (serves) {
    using What = Recognized::What;
    const bool keyed =
        session().recognized.what == What::derived || session().recognized.what == What::unbound;
    const bool bound =
        session().recognized.what == What::session || session().recognized.what == What::detached;
    serves = bound ? m->accepts_bound() : keyed ? m->accepts_keyed() : m->accepts_new();
  }
  if (serves) return true;
  fail(FailSide::self, Kind::out_of_service);
  attempt().left_for = m == nullptr               ? Reason::removed
                       : m->admin == Admin::maint ? Reason::maint
                                                  : Reason::failover;
  return false;
}

/// Takes the backend connection reserved for this client, if there is one: all its requests to this backend
/// use it. A later leg of a handshake cannot use any other connection; if it is lost, the attempt fails
/// (`handshake_lost`).
bool Attempts::take_reserved_connection() {
  const Connector::TakenReserved own = connector().take_reserved(target(), backend(), turn().now());
  attempt().leg = own.leg_due && request().head.connection_auth;
  attempt().belongs = own.taken;
  if (!own.taken && attempt().leg) fail(FailSide::self, Kind::handshake_lost);
  return own.taken;
}

/// After the response head: notes whether the backend treats this connection as authenticated for one user,
/// so that it must be reserved for this client. An HTTP/2 connection has no one user: browsers repeat the
/// request by HTTP/1.1.
void Attempts::note_connection_auth() {
  if (backend().is_shared()) return;  // nothing is authenticated there but single requests
  const bool may_ask = memory().response.status == 401 || memory().response.status == 407;
  if (!may_ask && !request().head.connection_auth) return;
  const ConnectionAuth asked = asked_connection_auth(memory().response.status, memory().response.fields);
  if (asked != ConnectionAuth::none && request().head.version == Version::http2 &&
      connection().listener->config.speaks(config::Alpn::http11))
    return fail(FailSide::client, Kind::http1_required);
  attempt().belongs = attempt().belongs || request().head.connection_auth || asked != ConnectionAuth::none;
  attempt().leg_due = request().head.connection_auth && asked == ConnectionAuth::continued;
}

Connector::Target Attempts::target() const noexcept {
  using Needs = Connector::Needs;
  Needs needs = request().head.tunnel ? Needs::tunnel : Needs::anything;
  if (attempt().http1_only || request().head.connection_auth) needs = Needs::http1;
  return {*request().pool, *attempt().member, needs};
}

bool Attempts::take_idle_connection() {
  attempt().belongs = false;
  if (attempt().fresh_only) return false;
  const bool certain =
      !idempotent(request().head.method) || attempt().count >= request().pool->config.failover.attempts;
  return connector().take_idle(target(), certain, backend(), turn().now());
}

Task<bool> Attempts::open_connection() {
  const std::unique_ptr<PendingConnect> pending =
      connector().connect(target(), attempt().began, request().timeouts.connect, turn().wake(), backend());
  Io io = Io::blocked;
  for (;;) {
    client().watch();
    io = pending->step(turn().now());
    if (io == Io::failed)
      fail(FailSide::backend, pending->timed_out() ? Kind::connect_timeout : Kind::refused);
    if (io != Io::blocked) break;
    const Clock::Steady until = std::min(pending->deadline(), request().deadline);
    if (!client().cut_short()) co_await turn().wait(until);
    const bool gone = client().gone() || client().cut_short();
    if (!gone && !request().is_overdue(turn().now())) continue;
    if (gone)
      fail(FailSide::client, Kind::gone);
    else
      fail(FailSide::self, Kind::deadline);
    break;
  }
  attempt().last_progress = turn().now();
  request().took.connect += attempt().last_progress - attempt().began;
  co_return io == Io::ready;
}

void Attempts::release_backend() {
  attempt().permit.free();
  if (!backend()->has_connection()) return;
  if (backend().is_shared()) {
    backend()->abort();
    backend().release();
    return;
  }
  if (backend()->reusable() && !worker().stopping)
    keep_backend();
  else if (attempt().leg_due)
    // Closing tells the client that its handshake has ended, as the backend itself would.
    response().closes = true;
  backend()->abort();
  backend().release();
}

/// Keeps the connection for this client's next request if it is reserved, else for any request. Not if the
/// backend announced that it will close it at once.
void Attempts::keep_backend() {
  const auto promise = backend()->idle_promise();
  if (promise && promise->count() == 0 && !attempt().leg_due) return;
  const Clock::Steady until =
      promise && !attempt().leg_due ? turn().now() + *promise : Clock::Steady(IdleConnections::no_promise);
  const Connector::Keep how{attempt().belongs, attempt().leg_due, until, request().arrival.client};
  connector().keep(target(), backend(), how, turn().now());
}

}  // namespace remora
