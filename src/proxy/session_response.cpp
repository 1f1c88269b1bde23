#include "proxy/session_response.h"

#include <algorithm>

#include "affinity/kept_back.h"
#include "affinity/kinds.h"
#include "proxy/edits.h"

namespace remora {

using What = Recognized::What;
using Family = Affinity::Family;

void SessionResponse::settle() {
  const SessionFields fields = read_session_fields(memory().response.fields);
  attempt().member->backend->note_generation(fields.generation);
  const bool token_in_url = !memory().request_edits.target.empty();
  if (session().served.reason == Reason::none && !token_in_url) return;

  const std::uint64_t generation = attempt().member->backend->generation.load(std::memory_order_relaxed);
  if (session().served.reason != Reason::none && session().served.binding.generation == 0 &&
      generation != 0) {
    session().served.binding.generation = generation;
    session().served.refresh = true;
  }
  ResponseView response;
  response.status = memory().response.status;
  response.fields = memory().response.fields;
  // Only needed if a token may be issued.
  if (session().served.begun || session().served.changed || session().served.refresh)
    response.shared_cacheable = offered_to_shared_caches(memory().response, request().head.method,
                                                         *request().route, turn().wall_now());
  response.now =
      std::chrono::duration_cast<std::chrono::seconds>(turn().wall_now().time_since_epoch()).count();
  response.has_body =
      memory().response.body.kind != BodyLength::Kind::none && request().head.method != Method::head;

  if (token_in_url) keep_referrer_inside(response, memory().response_edits);
  if (session().served.reason == Reason::none) return;
  if (is_outdated()) return;  // ignore late responses of a previous backend
  if (!session().state_note.empty())
    worker().memory->handed.answered(session().served.binding.id, session().served.binding.epoch);
  if (apply_control(fields, response)) return;
  learn(response);
  mark(response);
  watch_events(response);
  records_.on_state_header(fields, true);
}

bool SessionResponse::is_outdated() const {
  const Binding& b = session().served.binding;
  if (const auto known = worker().memory->moves.find(b.id, turn().clock_reading()); known) {
    if (known->epoch > b.epoch) return true;
    if (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed) return true;
  }
  return false;
}

/// Applies Remora-Session-Control. True: the session has ended, and the response needs no further marks.
bool SessionResponse::apply_control(const SessionFields& fields, const ResponseView& response) {
  SessionMemory& memory = *worker().memory;
  const config::Session& lifetimes = request().pool->config.session;
  Binding& b = session().served.binding;
  switch (fields.control) {
    case Control::none:
      return false;
    case Control::pin:
      memory.steered.stay(b.id, lifetimes, turn().clock_reading());
      return false;
    case Control::end:
      memory.moves.ended(b.id, b.epoch, Reason::none, lifetimes, turn().clock_reading());
      if (session().recognized.learned) memory.learned.end(session().recognized.key, b.id);
      memory.active.gone(b.id);
      memory.steered.gone(b.id);
      records_.mark_ended(b);
      lookup_.end_in_other_pools(b);
      lookup_.counts().count(SessionEvent::ended);
      clear_tokens(false);
      // An id in this response begins a new session; it does not revive this one.
      session().ended_epoch = b.epoch;
      b = born(new_session_id(), *attempt().member->backend, turn().wall_now());
      session().recognized.learned = false;
      learn(response);
      return true;
    case Control::renew: {
      const SessionId old = b.id;
      memory.moves.renewed(old, b.epoch, b.backend, lifetimes, turn().clock_reading());
      memory.active.gone(old);
      lookup_.end_in_other_pools(b);
      if (records_.pool_store() != nullptr)
        session().kept().bind = session().kept().renames = records_.is_named();
      if (records_.keeps_state()) session().kept().renewed = old;
      b.id = new_session_id();
      // The app knows the session by its former id, so the first request with the new id brings the state
      // along.
      if (records_.keeps_state()) memory.handed.begin(b.id, b.epoch, turn().clock_reading());
      if (session().recognized.learned) {
        memory.learned.forget(session().recognized.key, old);
        memory.learned.bind(session().recognized.key, b, request().pool->number, lifetimes,
                            turn().clock_reading());
      }
      session().served.changed = true;
      lookup_.counts().count(SessionEvent::renewed);
      return false;
    }
    case Control::move:
      if (!fields.move_to.empty()) {
        steer_to(fields.move_to);
        return false;
      }
      b.leave = true;
      memory.moves.active(b, lifetimes, turn().clock_reading());
      if (session().recognized.learned)
        memory.learned.refresh(session().recognized.key, b, lifetimes, turn().clock_reading());
      session().served.changed = true;
      records_.write_behind(records_.record(), !session().recognized.learned);
      return false;
  }
  return false;
}

/// The app names the backend of the session's next request. One that is unknown, the same, or takes no
/// sessions is counted, and changes nothing.
void SessionResponse::steer_to(std::string_view backend) {
  const auto& members = request().pool->snapshot->members;
  const auto named =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.backend->id == backend; });
  const Binding& b = session().served.binding;
  if (named == members.end() || named->backend->hash == b.backend || !named->accepts_new())
    return lookup_.counts().count(SessionEvent::misdirected);
  worker().memory->steered.move(b.id, named->backend->hash, request().pool->config.session,
                                turn().clock_reading());
}

/// Learns the app's id from the response head: into the table now, and into the store before the head is sent
/// (keep_session).
void SessionResponse::learn(const ResponseView& response) {
  LocalTable& table = worker().memory->learned;
  const config::Session& lifetimes = request().pool->config.session;
  const Binding& b = session().served.binding;
  const bool known = session().recognized.learned && session().recognized.what == What::session;
  std::optional<SessionKey> key;
  if (session().recognized.learned && session().served.begun && session().recognized.lookup.adopt)
    key = session().recognized.key;
  for (const auto& kind : request().pool->affinity) {
    if (kind->family() != Family::learned) continue;
    const ObservedId learned = kind->learn(lookup_.view(), response, worker().scratch);
    if (learned.forgotten && session().recognized.learned) {
      table.forget(session().recognized.key, b.id);
      records_.mark_ended(b);
      lookup_.end_in_other_pools(b, false);
      lookup_.counts().count(SessionEvent::cleared);
      return;
    }
    if (learned.key) key = learned.key;
  }
  if (!key || (known && *key == session().recognized.key)) {
    if (known && (session().served.refresh || session().recognized.stamp_is_old)) {
      table.refresh(session().recognized.key, b, lifetimes, turn().clock_reading());
      records_.write_behind(records_.record());
    }
    return;
  }
  if (const PoolStore* keeper = records_.pool_store(); keeper != nullptr && keeper->keeps_bindings()) {
    session().kept().bind = true;
    session().kept().renames = false;
    if (known) session().kept().former_name = session().recognized.key;
  }
  bind_learned(*key);
  if (known) table.mark_replaced(session().recognized.key, b.id);  // a login gives the same session a new id
  lookup_.counts().count(known ? SessionEvent::replaced : SessionEvent::bound);
}

void SessionResponse::bind_learned(const SessionKey& key) {
  worker().memory->learned.bind(key, session().served.binding, request().pool->number,
                                request().pool->config.session, turn().clock_reading());
  session().bound_key = key;
  worker().memory->active.gone(session().served.binding.id);  // the table counts it from now on
}

/// An event stream may give the app's id in its first event instead of a field.
void SessionResponse::watch_events(const ResponseView& seen) {
  if (session().bound_key || !seen.has_body || seen.status != 200) return;
  const Field* const type = memory().response.find(Known::content_type);
  if (type == nullptr || !istarts_with(type->value, "text/event-stream")) return;
  if (memory().response.find(Known::content_encoding) != nullptr) return;
  response().watches = std::any_of(request().pool->affinity.begin(), request().pool->affinity.end(),
                                   [](const auto& kind) { return kind->reads_events(); });
  response().watched = 0;
}

void SessionResponse::look_at_events(const Body& body) {
  std::size_t skip = response().watched;
  for (const auto& run : body.runs) {
    const std::size_t known = std::min(skip, run.size());
    skip -= known;
    const std::string_view fresh{static_cast<const char*>(run.data()) + known, run.size() - known};
    response().watched += fresh.size();
    if (!memory().first_event.feed(fresh)) continue;
    for (const auto& kind : request().pool->affinity) {
      if (session().bound_key || !kind->reads_events()) continue;
      const auto key = kind->learn_event(memory().first_event.data(), worker().scratch);
      if (!key || is_outdated()) continue;
      bind_learned(*key);
      lookup_.counts().count(SessionEvent::bound);
      records_.write_behind(records_.record());
    }
    memory().first_event.clear();
    response().watches = false;
    return;
  }
}

/// True: the browser may hold a session cookie that it did not send (an unsafe method from another site). A
/// new token would overwrite it.
bool SessionResponse::is_kept_back() const noexcept {
  return session().served.begun &&
         (session().recognized.cause == Cause::absent || session().recognized.cause == Cause::unbound) &&
         posted_by_another_site(lookup_.view());
}

/// Whether a session that came in a URL may become a cookie. Not if another site's page may have led here:
/// its link could hold its sender's session, and the reader would stay in it (session fixation). A just
/// renewed id is known to the reader alone.
bool SessionResponse::may_get_cookie() const noexcept {
  if (!(session().served.binding.id == session().recognized.binding.id)) return true;
  return !may_be_led_by_another(lookup_.view());
}

void SessionResponse::mark(const ResponseView& response) {
  const auto& kinds = request().pool->affinity;
  const bool by_issued = session().recognized.what == What::session &&
                         kinds[session().recognized.kind]->family() == Family::issued;
  const bool issued = by_issued || session().served.begun;
  bool any_issued = false;
  const bool kept_back = is_kept_back();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i]->family() == Family::issued && !issued) continue;
    if (kept_back && kinds[i]->family() == Family::issued && kinds[i]->may_be_kept_back()) continue;
    any_issued = any_issued || kinds[i]->family() == Family::issued;
    Served served = session().served;
    // The session came in a URL: also set this kind's token, until the client returns it.
    if (by_issued && i != session().recognized.kind && !session().recognized.came_by_cookie) {
      if (!may_get_cookie()) continue;
      served.begun = true;
    }
    kinds[i]->mark(lookup_.view(), served, response, worker().scratch, turn().wall_now(),
                   memory().response_edits);
  }
  if (session().left_pool != nullptr) clear_tokens(true);
  if (memory().response_edits.body) memory().response.body = {BodyLength::Kind::unknown, 0};
  const bool heard = session().served.changed || !response.shared_cacheable;
  const bool by_token =
      any_issued || (session().recognized.what == What::session && !session().recognized.learned);
  if (by_token && heard && (session().served.begun || session().served.changed || session().served.refresh))
    worker().memory->active.seen(session().served.binding, request().pool->number,
                                 request().pool->config.session, turn().clock_reading());
  if (any_issued && !session().bound_key && session().served.refresh && records_.keeps_state())
    records_.write_behind(records_.record(), true);
}

void SessionResponse::touch_session() {
  session().touched = turn().now();
  if (session().served.reason == Reason::none) return;
  if (session().bound_key)
    worker().memory->learned.refresh(*session().bound_key, session().served.binding,
                                     request().pool->config.session, turn().clock_reading());
  else
    worker().memory->moves.active(session().served.binding, request().pool->config.session,
                                  turn().clock_reading());
  if (session().bound_key || records_.keeps_state())
    records_.write_behind(records_.record(), !session().bound_key);
}

Clock::Steady SessionResponse::next_touch() const noexcept {
  const auto& idle = request().pool->config.session.idle_timeout;
  if (session().served.reason == Reason::none || !idle) return Clock::Steady::max();
  return session().touched + *idle / 4;
}

void SessionResponse::finish_session() {
  if (request().pool == nullptr) return;
  if (request().has_sessions()) lookup_.counts().count(session().served.reason);
  if (session().open) session().open.finish(turn().clock_reading());
  if (turn().now() >= next_touch()) touch_session();
}

void SessionResponse::clear_tokens(bool goes_on) {
  if (!goes_on)
    for (const auto& kind : request().pool->affinity) kind->clear(lookup_.view(), memory().response_edits);
  if (session().left_pool == nullptr) return;
  for (const auto& kind : session().left_pool->affinity)
    if (!goes_on || kind->family() == Family::issued) kind->clear(lookup_.view(), memory().response_edits);
}

}  // namespace remora
