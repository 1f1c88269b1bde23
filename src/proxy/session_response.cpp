#include "proxy/session_response.h"

#include <algorithm>

#include "affinity/kept_back.h"
#include "affinity/kinds.h"
#include "proxy/edits.h"

namespace remora {

using What = Recognized::What;
using Family = Affinity::Family;

void SessionResponse::settle() {
  const SessionFields fields = read_session_fields(memory_.response.fields);
  attempt_.member->backend->note_generation(fields.generation);
  const bool token_in_url = !memory_.request_edits.target.empty();
  if (session_.served.reason == Reason::none && !token_in_url) return;

  const std::uint64_t generation = attempt_.member->backend->generation.load(std::memory_order_relaxed);
  if (session_.served.reason != Reason::none && session_.served.binding.generation == 0 && generation != 0) {
    session_.served.binding.generation = generation;
    session_.served.refresh = true;
  }
  ResponseView response;
  response.status = memory_.response.status;
  response.fields = memory_.response.fields;
  // Only needed if a token may be issued.
  if (session_.served.begun || session_.served.changed || session_.served.refresh)
    response.shared_cacheable =
        offered_to_shared_caches(memory_.response, request_.head.method, *request_.route, turn_.wall_now());
  response.now =
      std::chrono::duration_cast<std::chrono::seconds>(turn_.wall_now().time_since_epoch()).count();
  response.has_body =
      memory_.response.body.kind != BodyLength::Kind::none && request_.head.method != Method::head;

  if (token_in_url) keep_referrer_inside(response, memory_.response_edits);
  if (session_.served.reason == Reason::none) return;
  if (is_outdated()) return;  // ignore late responses of a previous backend
  if (!session_.state_note.empty())
    worker_.memory->handed.answered(session_.served.binding.id, session_.served.binding.epoch);
  if (apply_control(fields.control, response)) return;
  learn(response);
  mark(response);
  watch_events(response);
  records_.on_state_header(fields, true);
}

bool SessionResponse::is_outdated() const {
  const Binding& b = session_.served.binding;
  if (const auto known = worker_.memory->moves.find(b.id, turn_.clock_reading()); known) {
    if (known->epoch > b.epoch) return true;
    if (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed) return true;
  }
  return false;
}

/// Applies Remora-Session-Control. True: the session has ended, and the response needs no further marks.
bool SessionResponse::apply_control(Control control, const ResponseView& response) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& lifetimes = request_.pool->config.session;
  Binding& b = session_.served.binding;
  switch (control) {
    case Control::none:
      return false;
    case Control::end:
      memory.moves.ended(b.id, b.epoch, Reason::none, lifetimes, turn_.clock_reading());
      if (session_.recognized.learned) memory.learned.end(session_.recognized.key, b.id);
      memory.active.gone(b.id);
      records_.mark_ended(b);
      lookup_.end_in_other_pools(b);
      lookup_.counts().count(SessionEvent::ended);
      clear_tokens(false);
      // An id in this response begins a new session; it does not revive this one.
      session_.ended_epoch = b.epoch;
      b = born(new_session_id(), *attempt_.member->backend, turn_.wall_now());
      session_.recognized.learned = false;
      learn(response);
      return true;
    case Control::renew: {
      const SessionId old = b.id;
      memory.moves.renewed(old, b.epoch, b.backend, lifetimes, turn_.clock_reading());
      memory.active.gone(old);
      lookup_.end_in_other_pools(b);
      if (records_.pool_store() != nullptr)
        session_.kept().bind = session_.kept().renames = records_.is_named();
      if (records_.keeps_state()) session_.kept().renewed = old;
      b.id = new_session_id();
      // The app knows the session by its former id, so the first request with the new id brings the state
      // along.
      if (records_.keeps_state()) memory.handed.begin(b.id, b.epoch, turn_.clock_reading());
      if (session_.recognized.learned) {
        memory.learned.forget(session_.recognized.key, old);
        memory.learned.bind(session_.recognized.key, b, request_.pool->number, lifetimes,
                            turn_.clock_reading());
      }
      session_.served.changed = true;
      lookup_.counts().count(SessionEvent::renewed);
      return false;
    }
    case Control::move:
      b.leave = true;
      memory.moves.active(b, lifetimes, turn_.clock_reading());
      if (session_.recognized.learned)
        memory.learned.refresh(session_.recognized.key, b, lifetimes, turn_.clock_reading());
      session_.served.changed = true;
      records_.write_behind(records_.record(), !session_.recognized.learned);
      return false;
  }
  return false;
}

/// Learns the app's id from the response head: into the table now, and into the store before the head is sent
/// (keep_session).
void SessionResponse::learn(const ResponseView& response) {
  LocalTable& table = worker_.memory->learned;
  const config::Session& lifetimes = request_.pool->config.session;
  const Binding& b = session_.served.binding;
  const bool known = session_.recognized.learned && session_.recognized.what == What::session;
  std::optional<SessionKey> key;
  if (session_.recognized.learned && session_.served.begun && session_.recognized.lookup.adopt)
    key = session_.recognized.key;
  for (const auto& kind : request_.pool->affinity) {
    if (kind->family() != Family::learned) continue;
    const ObservedId learned = kind->learn(lookup_.view(), response, worker_.scratch);
    if (learned.forgotten && session_.recognized.learned) {
      table.forget(session_.recognized.key, b.id);
      records_.mark_ended(b);
      lookup_.end_in_other_pools(b, false);
      lookup_.counts().count(SessionEvent::cleared);
      return;
    }
    if (learned.key) key = learned.key;
  }
  if (!key || (known && *key == session_.recognized.key)) {
    if (known && (session_.served.refresh || session_.recognized.stamp_is_old)) {
      table.refresh(session_.recognized.key, b, lifetimes, turn_.clock_reading());
      records_.write_behind(records_.record());
    }
    return;
  }
  if (const PoolStore* keeper = records_.pool_store(); keeper != nullptr && keeper->keeps_bindings()) {
    session_.kept().bind = true;
    session_.kept().renames = false;
    if (known) session_.kept().former_name = session_.recognized.key;
  }
  bind_learned(*key);
  if (known) table.mark_replaced(session_.recognized.key, b.id);  // a login gives the same session a new id
  lookup_.counts().count(known ? SessionEvent::replaced : SessionEvent::bound);
}

void SessionResponse::bind_learned(const SessionKey& key) {
  worker_.memory->learned.bind(key, session_.served.binding, request_.pool->number,
                               request_.pool->config.session, turn_.clock_reading());
  session_.bound_key = key;
  worker_.memory->active.gone(session_.served.binding.id);  // the table counts it from now on
}

/// An event stream may give the app's id in its first event instead of a field.
void SessionResponse::watch_events(const ResponseView& response) {
  if (session_.bound_key || !response.has_body || response.status != 200) return;
  const Field* const type = memory_.response.find(Known::content_type);
  if (type == nullptr || !istarts_with(type->value, "text/event-stream")) return;
  if (memory_.response.find(Known::content_encoding) != nullptr) return;
  response_.watches = std::any_of(request_.pool->affinity.begin(), request_.pool->affinity.end(),
                                  [](const auto& kind) { return kind->reads_events(); });
  response_.watched = 0;
}

void SessionResponse::look_at_events(const Body& body) {
  std::size_t skip = response_.watched;
  for (const auto& run : body.runs) {
    const std::size_t known = std::min(skip, run.size());
    skip -= known;
    const std::string_view fresh{static_cast<const char*>(run.data()) + known, run.size() - known};
    response_.watched += fresh.size();
    if (!memory_.first_event.feed(fresh)) continue;
    for (const auto& kind : request_.pool->affinity) {
      if (session_.bound_key || !kind->reads_events()) continue;
      const auto key = kind->learn_event(memory_.first_event.data(), worker_.scratch);
      if (!key || is_outdated()) continue;
      bind_learned(*key);
      lookup_.counts().count(SessionEvent::bound);
      records_.write_behind(records_.record());
    }
    memory_.first_event.clear();
    response_.watches = false;
    return;
  }
}

/// True: the browser may hold a session cookie that it did not send (an unsafe method from another site). A
/// new token would overwrite it.
bool SessionResponse::is_kept_back() const noexcept {
  return session_.served.begun &&
         (session_.recognized.cause == Cause::absent || session_.recognized.cause == Cause::unbound) &&
         posted_by_another_site(lookup_.view());
}

/// Whether a session that came in a URL may become a cookie. Not if another site's page may have led here:
/// its link could hold its sender's session, and the reader would stay in it (session fixation). A just
/// renewed id is known to the reader alone.
bool SessionResponse::may_get_cookie() const noexcept {
  if (!(session_.served.binding.id == session_.recognized.binding.id)) return true;
  return !may_be_led_by_another(lookup_.view());
}

void SessionResponse::mark(const ResponseView& response) {
  const auto& kinds = request_.pool->affinity;
  const bool by_issued = session_.recognized.what == What::session &&
                         kinds[session_.recognized.kind]->family() == Family::issued;
  const bool issued = by_issued || session_.served.begun;
  bool any_issued = false;
  const bool kept_back = is_kept_back();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i]->family() == Family::issued && !issued) continue;
    if (kept_back && kinds[i]->family() == Family::issued && kinds[i]->may_be_kept_back()) continue;
    any_issued = any_issued || kinds[i]->family() == Family::issued;
    Served served = session_.served;
    // The session came in a URL: also set this kind's token, until the client returns it.
    if (by_issued && i != session_.recognized.kind && !session_.recognized.came_by_cookie) {
      if (!may_get_cookie()) continue;
      served.begun = true;
    }
    kinds[i]->mark(lookup_.view(), served, response, worker_.scratch, turn_.wall_now(),
                   memory_.response_edits);
  }
  if (session_.left_pool != nullptr) clear_tokens(true);
  if (memory_.response_edits.body) memory_.response.body = {BodyLength::Kind::unknown, 0};
  const bool heard = session_.served.changed || !response.shared_cacheable;
  const bool by_token =
      any_issued || (session_.recognized.what == What::session && !session_.recognized.learned);
  if (by_token && heard && (session_.served.begun || session_.served.changed || session_.served.refresh))
    worker_.memory->active.seen(session_.served.binding, request_.pool->number, request_.pool->config.session,
                                turn_.clock_reading());
  if (any_issued && !session_.bound_key && session_.served.refresh && records_.keeps_state())
    records_.write_behind(records_.record(), true);
}

void SessionResponse::touch_session() {
  session_.touched = turn_.now();
  if (session_.served.reason == Reason::none) return;
  if (session_.bound_key)
    worker_.memory->learned.refresh(*session_.bound_key, session_.served.binding,
                                    request_.pool->config.session, turn_.clock_reading());
  else
    worker_.memory->moves.active(session_.served.binding, request_.pool->config.session,
                                 turn_.clock_reading());
  if (session_.bound_key || records_.keeps_state())
    records_.write_behind(records_.record(), !session_.bound_key);
}

Clock::Steady SessionResponse::next_touch() const noexcept {
  const auto& idle = request_.pool->config.session.idle_timeout;
  if (session_.served.reason == Reason::none || !idle) return Clock::Steady::max();
  return session_.touched + *idle / 4;
}

void SessionResponse::finish_session() {
  if (request_.pool == nullptr) return;
  if (request_.has_sessions()) lookup_.counts().count(session_.served.reason);
  if (session_.open) session_.open.finish(turn_.clock_reading());
  if (turn_.now() >= next_touch()) touch_session();
}

void SessionResponse::clear_tokens(bool goes_on) {
  if (!goes_on)
    for (const auto& kind : request_.pool->affinity) kind->clear(lookup_.view(), memory_.response_edits);
  if (session_.left_pool == nullptr) return;
  for (const auto& kind : session_.left_pool->affinity)
    if (!goes_on || kind->family() == Family::issued) kind->clear(lookup_.view(), memory_.response_edits);
}

}  // namespace remora
