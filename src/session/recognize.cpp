#include "session/recognize.h"

#include <algorithm>

namespace remora {

namespace {

using What = Recognized::What;

/// Checks an authentic token against what this instance remembers.
void settle(const Opened& opened, SessionMemory& memory, const config::Session& session, ClockReading now,
            bool trace, Recognized& out) {
  out.what = What::session;
  out.cause = opened.expired;
  out.binding = opened.binding;
  out.old_key = opened.old_key;
  out.stamp_is_old = opened.aging || needs_refresh(opened.binding, session, now.wall);
  const auto age = now.wall - opened.binding.last_seen;
  out.stamp_is_late = opened.ending || (session.idle_timeout && age >= *session.idle_timeout / 2);
  if (const auto known = memory.moves.find(opened.binding.id, now, trace)) {
    Binding& b = out.binding;
    if (known->kind == Move::Kind::ended && known->epoch >= b.epoch) {
      out.what = session.on_lost == config::OnLost::reject && known->reason != Reason::none ? What::lost
                                                                                            : What::nothing;
      out.cause = Cause::ended;
      return;
    }
    if (known->kind == Move::Kind::renewed && known->epoch >= b.epoch) {
      out.what = What::detached;
      b.backend = known->backend;
      out.cause = Cause::ended;
      return;
    }
    if (known->epoch > b.epoch) {
      b.epoch = known->epoch;
      b.backend = known->backend;
      b.generation = 0;
      b.leave = known->leave;
      out.behind = true;
      out.moved_for = known->reason;
    } else if (known->epoch == b.epoch) {
      b.leave = b.leave || known->leave;
    }
    // A long exchange was activity that the token does not show.
    const std::uint32_t tick = Ticks::at(now.steady);
    const auto seen = now.wall - Ticks::duration(tick > known->seen ? tick - known->seen : 0);
    b.last_seen = std::max(b.last_seen, seen);
    out.cause = judge_lifetime(b, session, now.wall);
  }
  if (out.cause != Cause::none) out.what = What::nothing;
}

/// Looks up the app's id in the local table.
void settle(const Lookup& lookup, SessionMemory& memory, const config::Session& session, ClockReading now,
            bool trace, Recognized& out) {
  out.learned = true;
  out.key = lookup.key;
  out.lookup = lookup;
  const auto known = lookup.stored ? memory.learned.find_now(lookup.key, now, trace) : std::nullopt;
  out.stale = lookup.stored && memory.learned.is_copy() && (!known || known->stale);
  if (!known) {
    out.what = What::unbound;
    out.cause = lookup.cause;
    return;
  }
  out.binding = known->binding;
  if (known->ended) {
    // A client that cannot get another id would be locked out: only the request that lost it is rejected.
    const bool rejects = session.on_lost == config::OnLost::reject && !lookup.adopt;
    out.what = rejects ? What::lost : What::nothing;
    out.cause = Cause::ended;
    return;
  }
  out.cause = judge_lifetime(known->binding, session, now.wall);
  out.what = out.cause == Cause::none ? What::session : What::nothing;
  out.stamp_is_old = needs_refresh(known->binding, session, now.wall);
}

/// Rank among several candidates of one kind: living sessions first, then unknown ids, then sessions that are
/// over.
int worth(const Recognized& r) noexcept {
  switch (r.what) {
    case What::session:
    case What::derived:
      return 5;
    case What::detached:
      return 4;
    case What::unbound:
      return r.stale || r.lookup.route != 0 ? 3 : 2;
    case What::lost:
      return 1;
    case What::nothing:
      return 0;
  }
  return 0;
}

void settle(const Several& several, SessionMemory& memory, const config::Session& session, ClockReading now,
            bool trace, Recognized& out) {
  const Recognized blank = out;
  std::array<SessionKey, Several::most> unknown;
  std::size_t unknown_count = 0;
  for (std::size_t i = 0; i < several.count; ++i) {
    Recognized one = blank;
    std::visit([&](const auto& hint) { settle(hint, memory, session, now, trace, one); }, several.of[i]);
    if (one.stale && one.what == What::unbound) unknown[unknown_count++] = one.key;
    if (i == 0 || worth(one) > worth(out)) out = one;
  }
  if (!out.stale || out.what == What::session) return;
  for (std::size_t i = 0; i < unknown_count; ++i)
    if (!(unknown[i] == out.key) && out.also_count < out.also.size()) out.also[out.also_count++] = unknown[i];
}

/// Rank of a result against the results of other kinds.
int rank(What what) noexcept {
  switch (what) {
    case What::session:
    case What::derived:
    case What::lost:
      return 3;
    case What::detached:
      return 2;
    case What::unbound:
      return 1;
    case What::nothing:
      return 0;
  }
  return 0;
}

/// Whether a client that returns this kind's token needs none in URLs.
bool is_beside_urls(const Affinity& kind) noexcept {
  return kind.family() == Affinity::Family::issued && !kind.is_in_urls();
}

}  // namespace

Recognized recognize(std::span<const std::shared_ptr<const Affinity>> kinds, const RequestView& request,
                     SessionMemory& memory, const config::Session& session, CryptoScratch& scratch,
                     ClockReading now, bool trace) {
  Recognized best;
  best.kind = kinds.size();
  bool by_cookie = false;
  std::optional<SessionId> aging;  // the session whose cookie must be set again
  bool ending = false;             // on any response
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (rank(best.what) == 3 && kinds[i]->family() != Affinity::Family::issued) continue;
    const Hint hint = kinds[i]->identify(request, scratch, now.wall);
    Recognized found;
    found.kind = i;
    if (const auto* opened = std::get_if<Opened>(&hint)) {
      settle(*opened, memory, session, now, trace, found);
      if (found.what == What::session && is_beside_urls(*kinds[i])) {
        by_cookie = true;
        if (opened->aging) {
          aging = opened->binding.id;
          ending = opened->ending;
        }
      }
    } else if (const auto* lookup = std::get_if<Lookup>(&hint)) {
      settle(*lookup, memory, session, now, trace, found);
    } else if (const auto* several = std::get_if<Several>(&hint)) {
      settle(*several, memory, session, now, trace, found);
      by_cookie = by_cookie || (found.what == What::session && is_beside_urls(*kinds[i]));
    } else if (const auto* derived = std::get_if<HashOn>(&hint)) {
      found.what = What::derived;
      found.cause = Cause::none;
      found.derived = *derived;
    } else {
      found.cause = std::get<NoHint>(hint).cause;
    }
    // The first kind that recognizes a session decides. If none does, the first with a more telling cause
    // than `absent` explains why.
    const bool says_more = rank(found.what) == 0 && rank(best.what) == 0 && best.cause == Cause::absent &&
                           found.cause != Cause::absent;
    if (rank(found.what) > rank(best.what) || says_more) best = found;
  }
  best.came_by_cookie = by_cookie;
  if (aging && best.what == What::session && best.binding.id == *aging) {
    best.stamp_is_old = true;
    best.stamp_is_late = best.stamp_is_late || ending;
  }
  return best;
}

bool may_be_issued(const Recognized& found, std::span<const std::shared_ptr<const Affinity>> kinds) noexcept {
  switch (found.what) {
    case What::nothing:
    case What::unbound:
      return true;
    case What::session:
      return !found.came_by_cookie && kinds[found.kind]->family() == Affinity::Family::issued;
    case What::derived:
    case What::detached:
    case What::lost:
      break;
  }
  return false;
}

}  // namespace remora
