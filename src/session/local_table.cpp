#include "session/local_table.h"

#include <algorithm>

namespace remora {

std::uint32_t expiry_tick(std::uint32_t created, std::uint32_t seen, const config::Session& s) noexcept {
  const std::uint32_t end = created + Ticks::of(s.max_lifetime);
  if (!s.idle_timeout) return end;
  return std::min(end, seen + Ticks::of(*s.idle_timeout * 5 / 4));
}

LocalTable::Kept LocalTable::keep(const Binding& b, Reason reason, std::uint16_t pool,
                                  const config::Session& lifetimes, ClockReading now) {
  Kept k{};
  k.id = b.id;
  k.backend = b.backend;
  k.generation = b.generation;
  k.epoch = b.epoch;
  const auto age = std::max(Clock::Wall::duration(0), now.wall - b.created);
  k.seen = Ticks::at(now.steady);
  k.created = k.seen - std::min(k.seen, Ticks::of(age));
  k.expires = expiry_tick(k.created, k.seen, lifetimes);
  k.checked = k.seen;
  k.pool = pool;
  k.reason = reason;
  k.leave = b.leave;
  return k;
}

Standing LocalTable::standing(const Kept& k, ClockReading now) const {
  // Ages are measured on the steady clock, so a jump of the wall clock ends no session.
  const std::uint32_t tick = Ticks::at(now.steady);
  const auto ago = [&](std::uint32_t then) {
    return now.wall - Ticks::duration(tick > then ? tick - then : 0);
  };
  Standing s;
  s.binding.id = k.id;
  s.binding.backend = k.backend;
  s.binding.generation = k.generation;
  s.binding.epoch = k.epoch;
  s.binding.leave = k.leave;
  s.binding.created = ago(k.created);
  s.binding.last_seen = ago(k.seen);
  s.reason = k.reason;
  s.ended = k.ended;
  s.stale = trusted_for_ && tick > k.checked && Ticks::duration(tick - k.checked) >= *trusted_for_;
  return s;
}

std::optional<Standing> LocalTable::find_now(const SessionKey& key, ClockReading now, bool trace) {
  const auto kept = trace ? table_.find(key) : table_.peek(key);
  if (!kept) return std::nullopt;
  return standing(*kept, now);
}

Standing LocalTable::bind(const SessionKey& key, const Binding& b, std::uint16_t pool,
                          const config::Session& lifetimes, ClockReading now) {
  const Kept fresh = keep(b, Reason::none, pool, lifetimes, now);
  return standing(table_.put(key, fresh,
                             [&](Kept& k) {
                               const std::uint32_t end = expiry_tick(k.created, k.seen, lifetimes);
                               const bool over = k.ended || std::min(end, k.expires) <= fresh.seen;
                               if (over && !(k.id == b.id)) k = fresh;
                             }),
                  now);
}

Standing LocalTable::move(const SessionKey& key, std::uint32_t from_epoch, const Binding& to, Reason reason,
                          std::uint16_t pool, const config::Session& lifetimes, ClockReading now) {
  const Kept fresh = keep(to, reason, pool, lifetimes, now);
  return standing(table_.put(key, fresh,
                             [&](Kept& k) {
                               if (k.ended || k.epoch != from_epoch || !(k.id == to.id)) return;
                               const bool replaced = k.replaced;
                               k = fresh;
                               k.replaced = replaced;
                             }),
                  now);
}

void LocalTable::refresh(const SessionKey& key, const Binding& b, const config::Session& lifetimes,
                         ClockReading now) {
  table_.update(key, [&](Kept& k) {
    if (k.ended || k.epoch != b.epoch || k.backend != b.backend || !(k.id == b.id)) return;
    k.seen = Ticks::at(now.steady);
    k.expires = expiry_tick(k.created, k.seen, lifetimes);
    k.generation = std::max(k.generation, b.generation);
    k.leave = k.leave || b.leave;
  });
}

void LocalTable::adopt(const SessionKey& key, const Record& r, std::uint16_t pool,
                       const config::Session& lifetimes, ClockReading now) {
  Kept fresh = keep(r.binding, r.reason, pool, lifetimes, now);
  const auto idle = std::max(Clock::Wall::duration(0), now.wall - r.binding.last_seen);
  fresh.seen -= std::min(fresh.seen, Ticks::of(idle));
  fresh.expires = expiry_tick(fresh.created, fresh.seen, lifetimes);
  fresh.ended = r.ended;
  fresh.replaced = r.replaced;
  table_.put(key, fresh, [&](Kept& k) {
    // Our decision has not reached the store yet, so it is newer than the store's record.
    const bool same = k.id == fresh.id;
    const std::uint32_t tick = fresh.checked;
    const bool over = fresh.ended || fresh.expires <= tick, lives = !k.ended && k.expires > tick;
    const bool follows = !same && over && lives && k.created > fresh.created;
    if (follows || (same && (k.epoch > fresh.epoch || (k.ended && !fresh.ended)))) {
      k.checked = fresh.checked;
      return;
    }
    const std::uint32_t seen = same ? std::max(k.seen, fresh.seen) : fresh.seen;
    k = fresh;
    k.seen = seen;
    k.expires = expiry_tick(k.created, k.seen, lifetimes);
  });
}

void LocalTable::trust(const SessionKey& key, ClockReading now) {
  table_.update(key, [&](Kept& k) { k.checked = Ticks::at(now.steady); });
}

void LocalTable::forget(const SessionKey& key, const SessionId& id) {
  table_.erase_if(key, [&](const Kept& k) { return k.id == id && !k.ended; });
}

void LocalTable::end(const SessionKey& key, const SessionId& id) {
  table_.update(key, [&](Kept& k) {
    if (k.id == id) k.ended = true;
  });
}

void LocalTable::mark_replaced(const SessionKey& key, const SessionId& id) {
  table_.update(key, [&](Kept& k) {
    if (k.id == id) k.replaced = true;
  });
}

}  // namespace remora
