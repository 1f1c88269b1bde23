#include "admin/one_session.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

/// What the tables say of a session.
struct Known {
  const PoolView* pool = nullptr;
  std::uint64_t backend = 0;
  std::uint32_t epoch = 0, seen = 0;  // 0: unknown
  bool learned = false, ended = false, renewed = false, any = false;
  std::vector<std::pair<SessionKey, LocalTable::Kept>> names;  // the app's ids that lead to it
};

const PoolView* pool_of(const Snapshot& snapshot, std::uint16_t number) noexcept {
  const auto it = std::find_if(snapshot.pools.begin(), snapshot.pools.end(),
                               [&](const auto& pool) { return pool->number == number; });
  return it == snapshot.pools.end() ? nullptr : it->get();
}

/// The first pool that has this backend and uses affinity.
const PoolView* pool_with(const Snapshot& snapshot, std::uint64_t backend) noexcept {
  const auto has = [&](const auto& pool) {
    return !pool->affinity.empty() && pool->snapshot->find(backend) != nullptr;
  };
  const auto it = std::find_if(snapshot.pools.begin(), snapshot.pools.end(), has);
  return it == snapshot.pools.end() ? nullptr : it->get();
}

std::vector<std::pair<SessionKey, LocalTable::Kept>> names_of(const SessionId& id, AdminActions& actions) {
  std::vector<std::pair<SessionKey, LocalTable::Kept>> names;
  const std::uint32_t tick = Ticks::at(actions.now().steady);
  actions.memory().learned.entries().sweep([&](const SessionKey& key, const LocalTable::Kept& kept) {
    if (kept.id == id && kept.expires > tick) names.emplace_back(key, kept);
    return true;
  });
  return names;
}

Known look_up(const SessionId& id, AdminActions& actions) {
  SessionMemory& memory = actions.memory();
  const std::uint32_t tick = Ticks::at(actions.now().steady);
  Known out;
  if (const auto active = memory.active.entries().peek(id); active && active->expires > tick) {
    out.any = true;
    out.pool = pool_of(actions.snapshot(), active->pool);
    out.backend = active->backend;
    out.seen = active->seen;
  }
  out.names = names_of(id, actions);
  for (const auto& [key, kept] : out.names) {
    out.any = out.learned = true;
    out.ended = out.ended || kept.ended;
    if (kept.epoch < out.epoch) continue;
    out.pool = pool_of(actions.snapshot(), kept.pool);
    out.backend = kept.backend;
    out.epoch = kept.epoch;
    out.seen = std::max(out.seen, kept.seen);
  }
  if (const auto move = memory.moves.find(id, actions.now(), false)) {
    out.any = true;
    out.ended = out.ended || move->kind == Move::Kind::ended;
    out.renewed = move->kind == Move::Kind::renewed;
    out.seen = std::max(out.seen, move->seen);
    if (move->backend != 0 && move->epoch >= out.epoch) {
      out.backend = move->backend;
      out.epoch = move->epoch;
      if (out.pool == nullptr || out.pool->snapshot->find(out.backend) == nullptr)
        out.pool = pool_with(actions.snapshot(), out.backend);
    }
  }
  return out;
}

json::value backend_name(const PoolView* pool, std::uint64_t backend) {
  const Member* const m = pool != nullptr ? pool->snapshot->find(backend) : nullptr;
  if (m == nullptr) return nullptr;
  return json::value(m->backend->id);
}

json::object describe(const SessionId& id, const Known& known, AdminActions& actions) {
  json::object out{{"id", session_id_text(id)},
                   {"state", known.ended     ? "ended"
                             : known.renewed ? "renewed"
                             : known.any     ? "active"
                                             : "unknown"},
                   {"kind", known.learned ? "learned" : "issued"}};
  out["pool"] = known.pool != nullptr ? json::value(known.pool->config.name) : json::value(nullptr);
  out["backend"] = backend_name(known.pool, known.backend);
  const bool has_epoch = known.epoch != 0 && known.epoch != ~std::uint32_t{0};
  out["epoch"] = has_epoch ? json::value(known.epoch) : json::value(nullptr);
  const std::uint32_t tick = Ticks::at(actions.now().steady);
  if (known.seen != 0 && tick >= known.seen)
    out["seen_seconds_ago"] = Ticks::duration(tick - known.seen).count() / 1000;
  const Steering wish = actions.memory().steered.find(id, actions.now());
  if (wish.wish == Steering::Wish::stay) out["pinned"] = true;
  if (wish.wish == Steering::Wish::move) {
    const json::value to = backend_name(known.pool, wish.backend);
    out["moves_to"] = to.is_null() ? json::value("any other") : to;
  }
  return out;
}

/// Of a session whose pool is unknown: the pool that remembers longest.
const config::Session& lifetimes_of(const Known& known, const Snapshot& snapshot) noexcept {
  static const config::Session standard;
  if (known.pool != nullptr) return known.pool->config.session;
  const config::Session* longest = &standard;
  for (const auto& pool : snapshot.pools)
    if (pool->config.session.max_lifetime > longest->max_lifetime) longest = &pool->config.session;
  return *longest;
}

/// The session is over for instances that share the store, too.
void end_in_store(const SessionId& id, const Known& known, AdminActions& actions) {
  const Snapshot& snapshot = actions.snapshot();
  StoreJob job;
  job.record.ended = true;
  job.record.binding.id = id;
  job.record.binding.epoch = ~std::uint32_t{0};
  job.record.binding.backend = known.backend;
  job.record.binding.created = job.record.binding.last_seen = actions.now().wall;
  job.returning = true;
  for (std::size_t i = 0; i < snapshot.pools.size(); ++i) {
    const PoolStore* const keeper = snapshot.pool_stores[i].get();
    if (keeper == nullptr || (known.pool != nullptr && known.pool != snapshot.pools[i].get())) continue;
    job.lifetimes = snapshot.pools[i]->config.session;
    job.pool = snapshot.pools[i]->number;
    job.only_if_there = true;
    if (keeper->keeps_bindings())
      for (const auto& [key, kept] : known.names) {
        job.key = key;
        actions.write_to_store(job);
      }
    job.key = keeper->name(id, actions.scratch());
    job.only_if_there = !keeper->keeps_state();  // a late write must find the mark
    actions.write_to_store(job);
  }
}

/// The backend of this id that a session of `known` can go to. Null, and why.
const Member* target_of(const Known& known, std::string_view backend, const Snapshot& snapshot,
                        std::string& why) {
  std::vector<const Member*> found;
  for (const auto& pool : snapshot.pools) {
    if (pool->affinity.empty() || (known.pool != nullptr && known.pool != pool.get())) continue;
    for (const Member& m : pool->snapshot->members)
      if (m.backend->id == backend) found.push_back(&m);
  }
  if (found.empty()) why = "the session's pool has no backend '" + std::string(backend) + "'";
  if (found.size() > 1)
    why = "several pools have a backend '" + std::string(backend) +
          "', and this instance has not seen the session";
  if (found.size() != 1) return nullptr;
  if (found.front()->backend->hash == known.backend) why = "the session is there";
  if (why.empty() && !found.front()->accepts_new())
    why = "'" + std::string(backend) + "' takes no sessions now";
  return why.empty() ? found.front() : nullptr;
}

}  // namespace

std::optional<SessionId> parse_session_id(std::string_view text) {
  SessionId id;
  if (text.size() != id.bytes.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return id;
}

std::string session_id_text(const SessionId& id) {
  std::string out;
  append_hex(out, id.bytes.data(), id.bytes.size());
  return out;
}

std::optional<json::object> describe_session(const SessionId& id, AdminActions& actions) {
  const Known known = look_up(id, actions);
  if (!known.any) return std::nullopt;
  return describe(id, known, actions);
}

json::object end_session(const SessionId& id, AdminActions& actions) {
  const Known known = look_up(id, actions);
  SessionMemory& memory = actions.memory();
  // Whatever the epoch of the token that a client still has.
  memory.moves.ended(id, ~std::uint32_t{0}, Reason::none, lifetimes_of(known, actions.snapshot()),
                     actions.now());
  for (const auto& [key, kept] : known.names) memory.learned.end(key, id);
  memory.active.gone(id);
  memory.steered.gone(id);
  end_in_store(id, known, actions);
  return describe(id, known, actions);
}

std::string steer_session(const SessionId& id, std::string_view backend, AdminActions& actions) {
  const Known known = look_up(id, actions);
  if (known.ended || known.renewed) return "the session is over";
  std::string why;
  const Member* const to = backend.empty() ? nullptr : target_of(known, backend, actions.snapshot(), why);
  if (!why.empty()) return why;
  actions.memory().steered.move(id, to != nullptr ? to->backend->hash : 0,
                                lifetimes_of(known, actions.snapshot()), actions.now());
  return "";
}

SessionsAt sessions_at(const PoolView& pool, std::uint64_t backend, std::size_t most, AdminActions& actions) {
  SessionsAt out;
  const std::uint32_t tick = Ticks::at(actions.now().steady);
  const auto add = [&](const SessionId& id, std::uint16_t number, std::uint64_t at, std::uint32_t expires) {
    if (number != pool.number || at != backend || expires <= tick) return;
    if (out.ids.size() < most)
      out.ids.push_back(id);
    else
      out.more = true;
  };
  actions.memory().learned.entries().sweep([&](const SessionKey&, const LocalTable::Kept& k) {
    if (!k.ended && !k.replaced) add(k.id, k.pool, k.backend, k.expires);
    return true;
  });
  actions.memory().active.entries().sweep([&](const SessionId& id, const ActiveSessions::Active& a) {
    add(id, a.pool, a.backend, a.expires);
    return true;
  });
  return out;
}

}  // namespace remora
