// The session of an exchange: whose it is, where it is served, what its client and the tables must hear.

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "http/target.h"
#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using What = Recognised::What;
using Family = Affinity::Family;

Moment Exchange::moment() const noexcept {
  return {now(), worker_.clock.wall_now()};
}

RequestView Exchange::view() const noexcept {
  RequestView v;
  v.method = request_.method;
  v.target = request_.target;
  v.host = request_.host;
  v.path = request_.path;
  v.fields = request_.fields;
  v.client = arrival_.client;
  v.secure = arrival_.secure;
  v.scope = this;
  v.claims = passed_.empty() ? nullptr : &passed_;
  if (request_.method == Method::options)
    for (const Field& f : request_.fields)
      if (iequals(f.name, "Access-Control-Request-Method")) v.preflight = true;
  return v;
}

/// A URL of this origin leads to this pool: it may carry the pool's token.
bool Exchange::leads_here(std::string_view path) const {
  std::string normal;
  normalise_path(path, normal);
  TextArena arena;
  const Snapshot& shared = *snapshot_->shared;
  const RouteView* route =
      shared.router->match(request_.host, routed_path(shared, normal, arena), "GET", request_.fields);
  return route != nullptr && std::any_of(route->targets.begin(), route->targets.end(),
                                         [&](const auto& t) { return t.pool == pool_index_; });
}

/// Whose session is this? Also settles the pool: of a split, the one that the session belongs to.
bool Exchange::recognise() {
  const Snapshot& shared = *snapshot_->shared;
  const auto ask = [&](const PoolView& pool) -> Recognised {
    if (pool.affinity.empty() || !route_->config.affinity) return {};
    return remora::recognise(pool.affinity, view(), *worker_.memory, pool.config.session, worker_.scratch,
                             moment());
  };
  const auto settle = [&](std::size_t index, const Recognised& found) {
    pool_index_ = index;
    pool_ = shared.pools[index].get();
    recognised_ = found;
  };
  if (route_->targets.size() == 1) {
    const std::size_t index = route_->targets.front().pool;
    settle(index, ask(*shared.pools[index]));
  } else {
    std::uint64_t at = worker_.random.below(route_->weight_sum);
    bool drawn = false;
    for (const auto& target : route_->targets) {
      const Recognised found = ask(*shared.pools[target.pool]);
      if (found.what == What::session) {
        settle(target.pool, found);
        break;
      }
      if (!drawn && at < target.weight) {
        settle(target.pool, found);
        drawn = true;
      }
      at -= drawn ? 0 : target.weight;
    }
  }
  for (const auto& kind : pool_->affinity) kind->conceal(view(), request_edits_);
  timeouts_ = pool_->config.timeouts;
  const config::RouteTimeouts& own = route_->config.timeouts;
  timeouts_.connect = own.connect.value_or(timeouts_.connect);
  timeouts_.response = own.response.value_or(timeouts_.response);
  timeouts_.read = own.read.value_or(timeouts_.read);
  timeouts_.write = own.write.value_or(timeouts_.write);
  timeouts_.queue = own.queue.value_or(timeouts_.queue);
  same_backend_left_ = pool_->config.failover.bound_same_backend;
  if (!has_sessions()) return true;
  counts().count(recognised_.cause);
  if (recognised_.what == What::lost) return lose_session();
  if (recognised_.what == What::unbound && recognised_.lookup.reject_unknown) return lose_session();
  if (recognised_.learned && recognised_.what == What::session) bound_key_ = recognised_.key;
  // What has expired by our clock is gone, whatever the app thinks of it.
  if (recognised_.what == What::nothing && recognised_.learned)
    worker_.memory->learned.forget(recognised_.key, recognised_.binding.id);
  return true;
}

bool Exchange::has_sessions() const noexcept {
  return !pool_->affinity.empty() && route_->config.affinity;
}

SessionCounts& Exchange::counts() const noexcept {
  return pool_->counters->sessions[worker_.index];
}

// Where it is served --------------------------------------------------------------------------------

bool Exchange::choose_member(const Failure& before) {
  switch (recognised_.what) {
    case What::session:
      return choose_for_session(before);
    case What::unbound:
      return choose_for_unbound();
    case What::derived:
      return serve_at(
          rendezvous(recognised_.derived.hash, *pool_->snapshot, tried_, recognised_.derived.bounded_load));
    case What::detached:
      return serve_at(usable_bound(recognised_.binding.backend)) ||
             serve_at(balancer().pick(tried_, Purpose::request));
    case What::nothing:
    case What::lost:
      break;
  }
  return place_new();
}

bool Exchange::serve_at(const Member* member) noexcept {
  if (member != nullptr) member_ = member;
  return member != nullptr;
}

const Member* Exchange::usable_bound(std::uint64_t backend) const noexcept {
  const Member* const m = pool_->snapshot->find(backend);
  return m != nullptr && m->accepts_bound() && !tried_.contains(m->backend.get()) ? m : nullptr;
}

/// Past its backend's drain deadline a session moves with its next request: a bounded number per second, and
/// only if somebody else can take it.
bool Exchange::should_leave() const noexcept {
  constexpr double moves_per_second = 100;
  return member_->leaving && target_of_move(Reason::drain) != nullptr &&
         pool_->counters->drain.allow(moves_per_second, head_at_);
}

bool Exchange::choose_for_session(const Failure& before) {
  if (!before) {
    served_.binding = recognised_.binding;
    served_.refresh = recognised_.old_key || recognised_.stamp_is_old;
    served_.changed = recognised_.behind;
    served_.came_by_cookie = recognised_.came_by_cookie;
    // The client's token is from before a move: for it, this is the request that moved.
    served_.reason = recognised_.moved_for == Reason::none ? Reason::sticky : recognised_.moved_for;
    member_ = pool_->snapshot->find(served_.binding.backend);
    Reason why = reason_to_move(member_, served_.binding);
    if (why == Reason::none && should_leave()) why = Reason::drain;
    if (why == Reason::none && wants_rebalance()) why = Reason::rebalance;
    bound_ = why == Reason::none;
    return bound_ || move_session(why);
  }
  if (bound_ && !tried_.contains(member_->backend.get())) return true;
  return move_session(before.kind == Kind::queue_full ? Reason::overload : Reason::failover);
}

/// An id of the app that nothing is known of: the server that the id itself names, else the rendezvous choice
/// of its key, which is the same on every worker and replica.
bool Exchange::choose_for_unbound() {
  const Lookup& lookup = recognised_.lookup;
  const Member* to = lookup.route != 0 ? usable_bound(lookup.route) : nullptr;
  if (to == nullptr) to = rendezvous(lookup.key.hash(), *pool_->snapshot, tried_);
  if (!serve_at(to)) return false;
  begin_session(id_from_key(lookup.key), Reason::new_);
  return true;
}

bool Exchange::place_new() {
  const bool begins = has_sessions() && !view().preflight &&
                      std::any_of(pool_->affinity.begin(), pool_->affinity.end(),
                                  [](const auto& kind) { return kind->family() != Family::derived; });
  const Member* picked = begins ? place_of_first_requests() : nullptr;
  if (picked == nullptr) picked = balancer().pick(tried_, begins ? Purpose::session : Purpose::request);
  if (!serve_at(picked)) return false;
  if (!begins) return true;
  if (first_placed_.backend != picked->backend->hash || first_placed_.pool != pool_index_)
    first_placed_ = {picked->backend->hash, pool_index_, head_at_};
  const bool over = recognised_.cause == Cause::idle || recognised_.cause == Cause::too_old;
  begin_session(served_.begun ? served_.binding.id : new_session_id(), over ? Reason::expired : Reason::new_);
  return true;
}

/// A browser's first requests come in parallel and without a session: those of one connection share a backend
/// for a second, so that what one of them begins, the others find. Not through a proxy, whose connections
/// many clients share.
const Member* Exchange::place_of_first_requests() const noexcept {
  if (first_placed_.backend == 0 || first_placed_.pool != pool_index_ ||
      head_at_ - first_placed_.at > std::chrono::seconds(1) || arrival_.trusted)
    return nullptr;
  for (const Field& f : request_.fields)
    if (f.known == Known::via || f.known == Known::forwarded || f.known == Known::x_forwarded_for ||
        f.known == Known::x_forwarded_host || f.known == Known::x_forwarded_proto)
      return nullptr;
  const Member* const m = pool_->snapshot->find(first_placed_.backend);
  return m != nullptr && m->accepts_new() && !tried_.contains(m->backend.get()) ? m : nullptr;
}

void Exchange::begin_session(const SessionId& id, Reason reason) {
  served_.binding = born(id, *member_->backend, worker_.clock.wall_now());
  served_.begun = true;
  served_.reason = reason;
}

namespace {
std::string backend_name(const PoolSnapshot& pool, std::uint64_t hash) {
  const Member* const m = pool.find(hash);
  return m != nullptr ? m->backend->id : "removed";
}
}  // namespace

/// Gives the session another backend. The tables have the last word: of parallel requests that move it, the
/// first decides and the others follow.
bool Exchange::move_session(Reason why) {
  bound_ = false;
  if (pool_->config.session.on_lost == config::OnLost::reject && why != Reason::overload &&
      why != Reason::rebalance) {
    served_.reason = why;
    return lose_session();
  }
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Member* const to = target_of_move(why);
    if (to == nullptr) return false;
    const Binding wanted = moved(served_.binding, *to->backend);
    const Binding standing = record_move(wanted, why);
    served_.binding = standing;
    served_.reason = why;
    served_.changed = true;
    if (standing.epoch == wanted.epoch && standing.backend == wanted.backend) {
      worker_.memory->recent.add({pool_->config.name,
                                  backend_name(*pool_->snapshot, recognised_.binding.backend),
                                  to->backend->id, why, worker_.clock.wall_now()});
      return serve_at(to);
    }
    if (serve_at(usable_bound(standing.backend))) return true;
  }
  return false;
}

const Member* Exchange::target_of_move(Reason why) const noexcept {
  const std::uint64_t key = move_key(served_.binding), from = served_.binding.backend;
  const auto other = [&](const Member& m) {
    // A restarted process is as good as any other; one that wants to be rid of the session is not.
    const bool same = m.backend->hash == from && why != Reason::restart;
    return !same && !tried_.contains(m.backend.get());
  };
  if (why != Reason::rebalance) return rendezvous_if(key, *pool_->snapshot, other);
  const double mean = mean_load();
  return rendezvous_if(key, *pool_->snapshot, [&](const Member& m) {
    return other(m) && expected_load(*m.backend, head_at_) / m.weight < mean;
  });
}

/// Returns what now stands, which may be another's move.
Binding Exchange::record_move(const Binding& wanted, Reason why) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& lifetimes = pool_->config.session;
  const Moment at = moment();
  Binding standing = wanted;
  if (recognised_.learned) {
    const Standing s =
        memory.learned.move(recognised_.key, wanted.epoch - 1, wanted, why, pool_->number, lifetimes, at);
    if (!s.ended && s.binding.id == wanted.id) standing = s.binding;
  }
  const Move move = memory.moves.moved(wanted.id, standing.epoch, standing.backend, why, lifetimes, at);
  if (move.kind == Move::Kind::moved && move.epoch >= standing.epoch) {
    standing.epoch = move.epoch;
    standing.backend = move.backend;
  }
  if (standing.backend != wanted.backend) standing.generation = 0;
  return standing;
}

/// The app would rather see an error than another server (`on_lost: reject`, `on_unknown: reject`): the
/// client forgets its token, and this session does not come back.
bool Exchange::lose_session() {
  if (recognised_.what == What::session) {
    const Binding& b = served_.binding;
    worker_.memory->moves.ended(b.id, b.epoch, served_.reason, pool_->config.session, moment());
    if (recognised_.learned) worker_.memory->learned.end(recognised_.key, b.id);
    worker_.memory->active.gone(b.id);
  }
  counts().count(SessionEvent::lost);
  answer_status_ = pool_->config.session.reject_status;
  answer_body_ = pool_->config.session.reject_body;
  clear_session_ = true;
  return false;
}

// Rebalance -----------------------------------------------------------------------------------------

double Exchange::mean_load() const noexcept {
  double load = 0, weights = 0;
  for (const Member& m : pool_->snapshot->members) {
    if (!m.accepts_new() || m.backup) continue;
    load += expected_load(*m.backend, head_at_);
    weights += m.weight;
  }
  return weights > 0 ? load / weights : 0;
}

/// Only a session that has been idle, with nothing open, on a backend with more than its share, and only so
/// many per second.
bool Exchange::wants_rebalance() {
  const auto& rules = pool_->config.session.rebalance;
  if (!rules) return false;
  const auto idle =
      worker_.memory->active.begin(served_.binding, pool_->number, pool_->config.session, moment());
  open_session_ = served_.binding.id;
  if (!idle || *idle < rules->min_idle || member_->weight == 0) return false;
  const double mean = mean_load();
  if (expected_load(*member_->backend, head_at_) / member_->weight <= rules->threshold * mean) return false;
  return pool_->counters->rebalance.allow(rules->moves_per_second, head_at_);
}

// After the response head ---------------------------------------------------------------------------

/// The tables and the client learn where the session lives, if they have to.
void Exchange::mark_session() {
  const SessionFields said = read_session_fields(response_.fields);
  member_->backend->note_generation(said.generation);
  if (served_.reason == Reason::none) return;

  const std::uint64_t generation = member_->backend->generation.load(std::memory_order_relaxed);
  if (served_.binding.generation == 0 && generation != 0) {
    served_.binding.generation = generation;
    served_.refresh = true;
  }
  ResponseView response;
  response.status = response_.status;
  response.fields = response_.fields;
  response.shared_cacheable = shared_cacheable(response_.fields);
  response.has_body = response_.framing.kind != Framing::Kind::none && request_.method != Method::head;

  if (is_outdated()) return;  // a late answer of a previous backend has no say
  if (obey(said.control, response)) return;
  learn(response);
  mark(response);
}

/// Since this request was sent the session has moved on, or ended.
bool Exchange::is_outdated() const {
  const Binding& b = served_.binding;
  if (const auto known = worker_.memory->moves.find(b.id, moment()); known) {
    if (known->epoch > b.epoch) return true;
    if (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed) return true;
  }
  return false;
}

/// Remora-Session-Control. True: nothing more is to be said of this session.
bool Exchange::obey(Control control, const ResponseView& response) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& lifetimes = pool_->config.session;
  Binding& b = served_.binding;
  switch (control) {
    case Control::none:
      return false;
    case Control::end:
      memory.moves.ended(b.id, b.epoch, Reason::none, lifetimes, moment());
      if (recognised_.learned) memory.learned.end(recognised_.key, b.id);
      memory.active.gone(b.id);
      counts().count(SessionEvent::ended);
      for (const auto& kind : pool_->affinity) kind->clear(view(), response_edits_);
      // An id that this response gives begins the next session, and not this one's afterlife.
      b = born(new_session_id(), *member_->backend, worker_.clock.wall_now());
      recognised_.learned = false;
      learn(response);
      return true;
    case Control::renew: {
      const SessionId old = b.id;
      memory.moves.renewed(old, b.epoch, b.backend, lifetimes, moment());
      memory.active.gone(old);
      b.id = new_session_id();
      if (recognised_.learned) {
        memory.learned.forget(recognised_.key, old);
        memory.learned.bind(recognised_.key, b, pool_->number, lifetimes, moment());
      }
      served_.changed = true;
      counts().count(SessionEvent::renewed);
      return false;
    }
    case Control::move:
      b.leave = true;
      memory.moves.active(b, lifetimes, moment());
      if (recognised_.learned) memory.learned.refresh(recognised_.key, b, lifetimes, moment());
      served_.changed = true;
      return false;
  }
  return false;
}

/// What the response says of the app's own id goes to the store before the client hears of it.
void Exchange::learn(const ResponseView& response) {
  LocalTable& table = worker_.memory->learned;
  const config::Session& lifetimes = pool_->config.session;
  const Binding& b = served_.binding;
  const bool known = recognised_.learned && recognised_.what == What::session;
  std::optional<SessionKey> key;
  if (recognised_.learned && recognised_.what == What::unbound && recognised_.lookup.adopt)
    key = recognised_.key;
  for (const auto& kind : pool_->affinity) {
    if (kind->family() != Family::learned) continue;
    const Learned learned = kind->learn(view(), response, worker_.scratch);
    if (learned.forgotten && recognised_.learned) {
      table.forget(recognised_.key, b.id);
      counts().count(SessionEvent::cleared);
      return;
    }
    if (learned.key) key = learned.key;
  }
  if (!key || (known && *key == recognised_.key)) {
    if (known && (served_.refresh || recognised_.stamp_is_old))
      table.refresh(recognised_.key, b, lifetimes, moment());
    return;
  }
  table.bind(*key, b, pool_->number, lifetimes, moment());
  bound_key_ = key;
  worker_.memory->active.gone(b.id);                      // from now on the table counts it
  if (known) table.mark_replaced(recognised_.key, b.id);  // login: a new id for the same session
  counts().count(known ? SessionEvent::replaced : SessionEvent::bound);
}

void Exchange::mark(const ResponseView& response) {
  const auto& kinds = pool_->affinity;
  const bool by_issued =
      recognised_.what == What::session && kinds[recognised_.kind]->family() == Family::issued;
  const bool issued = by_issued || served_.begun;
  bool any_issued = false;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i]->family() == Family::issued && !issued) continue;
    any_issued = any_issued || kinds[i]->family() == Family::issued;
    Served served = served_;
    // A second carrier beside the one that brought the session, until it comes back.
    if (by_issued && i != recognised_.kind && !recognised_.came_by_cookie) served.begun = true;
    kinds[i]->mark(view(), served, response, worker_.scratch, worker_.clock.wall_now(), response_edits_);
  }
  if (response_edits_.body)
    response_.framing = {Framing::Kind::chunked, 0};  // its length is known at its end
  const bool heard = served_.changed || !response.shared_cacheable;
  const bool by_token = any_issued || (recognised_.what == What::session && !recognised_.learned);
  if (by_token && heard && (served_.begun || served_.changed || served_.refresh))
    worker_.memory->active.seen(served_.binding, pool_->number, pool_->config.session, moment());
}

/// An open response or tunnel is activity: noted before the session's stamps would make it look idle.
void Exchange::touch_session() {
  touched_ = now();
  if (served_.reason == Reason::none) return;
  if (bound_key_)
    worker_.memory->learned.refresh(*bound_key_, served_.binding, pool_->config.session, moment());
  else
    worker_.memory->moves.active(served_.binding, pool_->config.session, moment());
}

Clock::Steady Exchange::next_touch() const noexcept {
  const auto& idle = pool_->config.session.idle_timeout;
  if (served_.reason == Reason::none || !idle) return Clock::Steady::max();
  return touched_ + *idle / 4;
}

void Exchange::leave_session() {
  if (pool_ == nullptr) return;
  if (has_sessions()) counts().count(served_.reason);
  if (open_session_) worker_.memory->active.finish(*std::exchange(open_session_, std::nullopt), moment());
  if (now() >= next_touch()) touch_session();
}

}  // namespace remora
