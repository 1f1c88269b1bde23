#include "session/handover.h"

#include <cstring>

namespace remora {

namespace {

constexpr char learned_tag = 'L', moves_tag = 'M', active_tag = 'A', state_tag = 'S', marks_tag = 'E',
               filter_tag = 'F';

template <class Key, class Value>
void append_record(std::string& out, char tag, const Key& key, const Value* value) {
  out += tag;
  out += value != nullptr ? '+' : '-';
  out.append(reinterpret_cast<const char*>(&key), sizeof key);
  if (value != nullptr) out.append(reinterpret_cast<const char*>(value), sizeof *value);
}

/// A value of the memory store: sizes, expiry, pool and `returning`, then key and value.
void append_value(std::string& out, const std::string& key, const std::string& value, Clock::Steady expires,
                  MemoryValues::Use use) {
  out += state_tag;
  out += '+';
  const std::uint32_t sizes[2] = {static_cast<std::uint32_t>(key.size()),
                                  static_cast<std::uint32_t>(value.size())};
  const std::int64_t ticks = expires.time_since_epoch().count();
  out.append(reinterpret_cast<const char*>(sizes), sizeof sizes);
  out.append(reinterpret_cast<const char*>(&ticks), sizeof ticks);
  const std::uint16_t whose[2] = {use.pool, use.returning ? std::uint16_t{1} : std::uint16_t{0}};
  out.append(reinterpret_cast<const char*>(whose), sizeof whose);
  out.append(key).append(value);
}

bool take_value(std::string_view& rest, SessionMemory& memory, Clock::Steady now) {
  std::uint32_t sizes[2];
  std::int64_t ticks;
  std::uint16_t whose[2];
  if (rest.size() < sizeof sizes + sizeof ticks + sizeof whose) return false;
  std::memcpy(sizes, rest.data(), sizeof sizes);
  std::memcpy(&ticks, rest.data() + sizeof sizes, sizeof ticks);
  std::memcpy(whose, rest.data() + sizeof sizes + sizeof ticks, sizeof whose);
  rest.remove_prefix(sizeof sizes + sizeof ticks + sizeof whose);
  if (rest.size() < std::size_t{sizes[0]} + sizes[1]) return false;
  const std::string key(rest.substr(0, sizes[0]));
  std::string value(rest.substr(sizes[0], sizes[1]));
  rest.remove_prefix(std::size_t{sizes[0]} + sizes[1]);
  if (memory.values)
    memory.values->restore(key, std::move(value), Clock::Steady(Clock::Steady::duration(ticks)), now,
                           {whose[0], whose[1] != 0});
  return true;
}

template <class Table>
struct Parts;
template <class K, class V>
struct Parts<ShardedTable<K, V>> {
  using Key = K;
  using Value = V;
};

/// Takes one record of this table off the front. False: it is truncated.
template <class Holder>
bool take_record(std::string_view& rest, Holder& holder, bool present) {
  using Key = typename Parts<typename Holder::Entries>::Key;
  using Value = typename Parts<typename Holder::Entries>::Value;
  const std::size_t size = sizeof(Key) + (present ? sizeof(Value) : 0);
  if (rest.size() < size) return false;
  Key key;
  std::memcpy(static_cast<void*>(&key), rest.data(), sizeof key);
  if (present) {
    Value value;
    std::memcpy(static_cast<void*>(&value), rest.data() + sizeof key, sizeof value);
    holder.restore(key, value);
  } else {
    holder.entries().erase(key);
  }
  rest.remove_prefix(size);
  return true;
}

}  // namespace

std::string_view session_layout() noexcept {
  static const std::string layout =
      "sessions 4 " + std::to_string(sizeof(SessionKey)) + " " + std::to_string(sizeof(LocalTable::Kept)) +
      " " + std::to_string(sizeof(SessionId)) + " " + std::to_string(sizeof(Move)) + " " +
      std::to_string(sizeof(ActiveSessions::Active)) + " " + std::to_string(Ticks::length_ms) + "\n";
  return layout;
}

template <class Table, class Key, class Value, char tag>
void SessionFeed::watch(Table& table) {
  table.watch(
      Watcher::successor,
      [](void* self, const Key& key, const Value*, const Value* value) {
        auto& feed = *static_cast<SessionFeed*>(self);
        const std::lock_guard lock(feed.mutex_);
        append_record(feed.changes_, tag, key, value);
      },
      this);
}

SessionFeed::SessionFeed(SessionMemory& memory) : memory_(memory) {
  watch<LocalTable::Entries, SessionKey, LocalTable::Kept, learned_tag>(memory.learned.entries());
  watch<MoveMemory::Entries, SessionId, Move, moves_tag>(memory.moves.entries());
  watch<MoveMemory::Entries, SessionId, Move, marks_tag>(memory.moves.marks());
  watch<ActiveSessions::Entries, SessionId, ActiveSessions::Active, active_tag>(memory.active.entries());
  if (memory.values)
    memory.values->watch(
        Watcher::successor,
        [](void* self, const MemoryValues::Stored& s) {
          auto& feed = *static_cast<SessionFeed*>(self);
          const std::lock_guard lock(feed.mutex_);
          append_value(feed.changes_, s.key, s.value, s.expires, s.use);
        },
        this);
}

SessionFeed::~SessionFeed() {
  memory_.learned.entries().watch(Watcher::successor, nullptr, nullptr);
  memory_.moves.entries().watch(Watcher::successor, nullptr, nullptr);
  memory_.moves.marks().watch(Watcher::successor, nullptr, nullptr);
  memory_.active.entries().watch(Watcher::successor, nullptr, nullptr);
  if (memory_.values) memory_.values->watch(Watcher::successor, nullptr, nullptr);
}

std::string SessionFeed::everything() {
  std::string out(session_layout());
  memory_.learned.entries().sweep([&](const SessionKey& key, const LocalTable::Kept& value) {
    append_record(out, learned_tag, key, &value);
    return true;
  });
  memory_.moves.entries().sweep([&](const SessionId& key, const Move& value) {
    append_record(out, moves_tag, key, &value);
    return true;
  });
  memory_.moves.marks().sweep([&](const SessionId& key, const Move& value) {
    append_record(out, marks_tag, key, &value);
    return true;
  });
  for (const std::string& filter : memory_.moves.spilled().export_all()) {
    out += filter_tag;
    out += '+';
    out += filter;
  }
  memory_.active.entries().sweep([&](const SessionId& key, const ActiveSessions::Active& value) {
    append_record(out, active_tag, key, &value);
    return true;
  });
  if (memory_.values)
    memory_.values->for_each([&](const std::string& key, const std::string& value, Clock::Steady expires,
                                 MemoryValues::Use use) { append_value(out, key, value, expires, use); });
  return out;
}

std::string SessionFeed::take_changes() {
  std::string out(session_layout());
  const std::lock_guard lock(mutex_);
  if (changes_.empty()) return "";
  out += changes_;
  changes_.clear();
  return out;
}

bool take_over_sessions(std::string_view rest, SessionMemory& memory, Clock::Steady now) {
  if (!rest.starts_with(session_layout())) return false;
  rest.remove_prefix(session_layout().size());
  while (!rest.empty()) {
    if (rest.size() < 2) return false;
    const char tag = rest[0], sign = rest[1];
    rest.remove_prefix(2);
    if (sign != '+' && sign != '-') return false;
    const bool taken = tag == learned_tag  ? take_record(rest, memory.learned, sign == '+')
                       : tag == moves_tag  ? take_record(rest, memory.moves, sign == '+')
                       : tag == marks_tag  ? sign == '+' && take_record(rest, memory.moves, true)
                       : tag == filter_tag ? memory.moves.spilled().import(rest)
                       : tag == active_tag ? take_record(rest, memory.active, sign == '+')
                       : tag == state_tag  ? take_value(rest, memory, now)
                                           : false;
    if (!taken) return false;
  }
  return true;
}

}  // namespace remora
