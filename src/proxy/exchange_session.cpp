// The session of an exchange: whose it is, and what its client and the tables must hear. Where it is served:
// exchange_place.cpp.

#include <algorithm>

#include "affinity/kept_back.h"
#include "affinity/kinds.h"
#include "http/target.h"
#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using What = Recognised::What;
using Family = Affinity::Family;

Moment Exchange::moment() const noexcept {
  return {now(), wall_now()};
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
  const RouteView* route =
      snapshot_->shared->router->match(request_.host, as_routed(path), "GET", request_.fields);
  return route != nullptr && std::any_of(route->targets.begin(), route->targets.end(),
                                         [&](const auto& t) { return t.pool == pool_index_; });
}

std::string Exchange::as_routed(std::string_view path) const {
  std::string normal;
  normalise_path(path, normal);
  TextArena arena;
  return std::string(routed_path(*snapshot_->shared, path, normal, arena));
}

std::size_t Exchange::deciding_bytes() const noexcept {
  return snapshot_->shared->router->deciding_bytes();
}

Recognised Exchange::recognise_in(const PoolView& pool) {
  if (pool.affinity.empty() || !route_->config.affinity) return {};
  return recognise(pool.affinity, view(), *worker_.memory, pool.config.session, worker_.scratch, moment());
}

/// Whose session is this? Also settles the pool: of a split, the one that the session belongs to.
/// `asked_store`: what it knows of this request's sessions has been adopted.
void Exchange::find_session(bool asked_store) {
  if (route_->targets.size() > 1) return find_session_in_split(asked_store);
  const std::size_t pool = route_->targets.front().pool;
  settle_in(pool, recognise_in(*snapshot_->shared->pools[pool]));
}

/// The pool's, as far as the route has none of its own.
void Exchange::use_timeouts() {
  timeouts_ = pool_->config.timeouts;
  const config::RouteTimeouts& own = route_->config.timeouts;
  timeouts_.connect = own.connect.value_or(timeouts_.connect);
  timeouts_.response = own.response.value_or(timeouts_.response);
  timeouts_.read = own.read.value_or(timeouts_.read);
  timeouts_.write = own.write.value_or(timeouts_.write);
  timeouts_.queue = own.queue.value_or(timeouts_.queue);
  const config::Failover& rules = pool_->config.failover;
  same_backend_left_ = rules.bound_same_backend;
  suspect_after_ = config::Millis(0);
  if (pool_->config.probe.kind == config::ProbeKind::off) return;  // nothing could tell
  suspect_after_ = rules.suspect_after.value_or(
      std::min(config::Millis(1000), std::max(timeouts_.response / 3, config::Millis(1))));
}

/// What was found is what counts from now on. False: it is answered here.
bool Exchange::accept_session() {
  for (const auto& kind : pool_->affinity) kind->conceal(view(), request_edits_);
  snapshot_->shared->foreign_tokens[pool_index_].conceal(view(), request_edits_);
  // Only what may be rewritten has to come whole and uncompressed.
  if (request_edits_.identity_coding)
    request_edits_.identity_coding = has_sessions() && may_be_issued(recognised_, pool_->affinity);
  response_edits_.no_ranges = request_edits_.identity_coding;
  use_timeouts();
  return admit_session();
}

/// May the session be served, or begin? False: it is answered here.
bool Exchange::admit_session() {
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

// After the response head ---------------------------------------------------------------------------

/// The tables and the client learn where the session lives, if they have to.
void Exchange::mark_session() {
  const SessionFields said = read_session_fields(response_.fields);
  member_->backend->note_generation(said.generation);
  const bool token_in_url = !request_edits_.target.empty();
  if (served_.reason == Reason::none && !token_in_url) return;

  const std::uint64_t generation = member_->backend->generation.load(std::memory_order_relaxed);
  if (served_.reason != Reason::none && served_.binding.generation == 0 && generation != 0) {
    served_.binding.generation = generation;
    served_.refresh = true;
  }
  ResponseView response;
  response.status = response_.status;
  response.fields = response_.fields;
  if (served_.begun || served_.changed || served_.refresh)  // otherwise nobody asks
    response.shared_cacheable = offered_to_shared_caches(response_, request_.method, *route_, wall_now());
  response.now = std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch()).count();
  response.has_body = response_.framing.kind != Framing::Kind::none && request_.method != Method::head;

  if (token_in_url) keep_referrer_inside(response, response_edits_);
  if (served_.reason == Reason::none) return;
  if (is_outdated()) return;  // a late answer of a previous backend has no say
  if (!state_note_.empty()) worker_.memory->handed.answered(served_.binding.id, served_.binding.epoch);
  if (obey(said.control, response)) return;
  learn(response);
  mark(response);
  watch_events(response);
  hear_state(said, true);
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
      tell_end(b);
      end_in_sisters(b);
      counts().count(SessionEvent::ended);
      clear_tokens(false);
      // An id that this response gives begins the next session, and not this one's afterlife.
      b = born(new_session_id(), *member_->backend, wall_now());
      recognised_.learned = false;
      learn(response);
      return true;
    case Control::renew: {
      const SessionId old = b.id;
      memory.moves.renewed(old, b.epoch, b.backend, lifetimes, moment());
      memory.active.gone(old);
      end_in_sisters(b);
      keeps_ = true;
      if (pool_store() != nullptr) keep_.bind = keep_.renames = is_named();
      if (keeps_state()) keep_.renewed = old;
      b.id = new_session_id();
      // The app knows its session by the former id: the first request with the new one brings the state
      // along.
      if (keeps_state()) memory.handed.begin(b.id, b.epoch, moment());
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
      tell_later(record(), !recognised_.learned);
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
      tell_end(b);
      end_in_sisters(b, false);
      counts().count(SessionEvent::cleared);
      return;
    }
    if (learned.key) key = learned.key;
  }
  if (!key || (known && *key == recognised_.key)) {
    if (known && (served_.refresh || recognised_.stamp_is_old)) {
      table.refresh(recognised_.key, b, lifetimes, moment());
      tell_later(record());
    }
    return;
  }
  if (const PoolStore* keeper = pool_store(); keeper != nullptr && keeper->keeps_bindings()) {
    keeps_ = keep_.bind = true;
    keep_.renames = false;
    if (known) keep_.former_name = recognised_.key;
  }
  bind_learned(*key);
  if (known) table.mark_replaced(recognised_.key, b.id);  // login: a new id for the same session
  counts().count(known ? SessionEvent::replaced : SessionEvent::bound);
}

void Exchange::bind_learned(const SessionKey& key) {
  worker_.memory->learned.bind(key, served_.binding, pool_->number, pool_->config.session, moment());
  bound_key_ = key;
  worker_.memory->active.gone(served_.binding.id);  // from now on the table counts it
}

/// An event stream may say the app's id where no field does: in its first event.
void Exchange::watch_events(const ResponseView& response) {
  if (bound_key_ || !response.has_body || response.status != 200) return;
  const Field* const type = response_.find(Known::content_type);
  if (type == nullptr || !istarts_with(type->value, "text/event-stream")) return;
  if (response_.find(Known::content_encoding) != nullptr) return;
  watches_ = std::any_of(pool_->affinity.begin(), pool_->affinity.end(),
                         [](const auto& kind) { return kind->reads_events(); });
  watched_ = 0;
}

/// Before the client hears of its id, the table does.
void Exchange::look_at_events(const Body& body) {
  std::size_t skip = watched_;
  for (const auto& run : body.runs) {
    const std::size_t known = std::min(skip, run.size());
    skip -= known;
    const std::string_view fresh{static_cast<const char*>(run.data()) + known, run.size() - known};
    watched_ += fresh.size();
    if (!first_event_.feed(fresh)) continue;
    for (const auto& kind : pool_->affinity) {
      if (bound_key_ || !kind->reads_events()) continue;
      const auto key = kind->learn_event(first_event_.data(), worker_.scratch);
      if (!key || is_outdated()) continue;
      bind_learned(*key);
      counts().count(SessionEvent::bound);
      tell_later(record());
    }
    first_event_.clear();
    watches_ = false;
    return;
  }
}

/// A session that this request began may stand where another lives that the browser kept back.
bool Exchange::is_kept_back() const noexcept {
  return served_.begun && (recognised_.cause == Cause::absent || recognised_.cause == Cause::unbound) &&
         posted_by_another_site(view());
}

/// A session that came in a URL becomes a cookie only where nothing says that another's page led there: a
/// link from elsewhere may hold its sender's session, and the reader would stay in it. An id that was just
/// renewed is the reader's alone.
bool Exchange::may_get_cookie() const noexcept {
  if (!(served_.binding.id == recognised_.binding.id)) return true;
  return !may_be_led_by_another(view());
}

void Exchange::mark(const ResponseView& response) {
  const auto& kinds = pool_->affinity;
  const bool by_issued =
      recognised_.what == What::session && kinds[recognised_.kind]->family() == Family::issued;
  const bool issued = by_issued || served_.begun;
  bool any_issued = false;
  const bool kept_back = is_kept_back();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i]->family() == Family::issued && !issued) continue;
    if (kept_back && kinds[i]->family() == Family::issued && kinds[i]->may_be_kept_back()) continue;
    any_issued = any_issued || kinds[i]->family() == Family::issued;
    Served served = served_;
    // A second carrier beside the one that brought the session, until it comes back.
    if (by_issued && i != recognised_.kind && !recognised_.came_by_cookie) {
      if (!may_get_cookie()) continue;
      served.begun = true;
    }
    kinds[i]->mark(view(), served, response, worker_.scratch, wall_now(), response_edits_);
  }
  if (left_pool_ != nullptr) clear_tokens(true);
  if (response_edits_.body)
    response_.framing = {Framing::Kind::chunked, 0};  // its length is known at its end
  const bool heard = served_.changed || !response.shared_cacheable;
  const bool by_token = any_issued || (recognised_.what == What::session && !recognised_.learned);
  if (by_token && heard && (served_.begun || served_.changed || served_.refresh))
    worker_.memory->active.seen(served_.binding, pool_->number, pool_->config.session, moment());
  if (any_issued && !bound_key_ && served_.refresh && keeps_state()) tell_later(record(), true);
}

/// An open response or tunnel is activity: noted before the session's stamps would make it look idle.
void Exchange::touch_session() {
  touched_ = now();
  if (served_.reason == Reason::none) return;
  if (bound_key_)
    worker_.memory->learned.refresh(*bound_key_, served_.binding, pool_->config.session, moment());
  else
    worker_.memory->moves.active(served_.binding, pool_->config.session, moment());
  if (bound_key_ || keeps_state()) tell_later(record(), !bound_key_);
}

Clock::Steady Exchange::next_touch() const noexcept {
  const auto& idle = pool_->config.session.idle_timeout;
  if (served_.reason == Reason::none || !idle) return Clock::Steady::max();
  return touched_ + *idle / 4;
}

void Exchange::leave_session() {
  if (pool_ == nullptr) return;
  if (has_sessions()) counts().count(served_.reason);
  if (open_session_) open_session_.finish(moment());
  if (now() >= next_touch()) touch_session();
}

}  // namespace remora
