#include "session/log_changes.h"

#include <algorithm>
#include <new>

#include "util/hash.h"

namespace remora {

namespace {
template <class T>
T take_part(std::string_view& from) {
  T value;
  std::memcpy(static_cast<void*>(&value), from.data(), sizeof value);
  from.remove_prefix(sizeof value);
  return value;
}
std::string_view take_text(std::string_view& from, std::size_t size) {
  const std::string_view out = from.substr(0, size);
  from.remove_prefix(size);
  return out;
}
}  // namespace

/// REQUIRES: `size` is the sum of the parts' sizes.
template <class... Parts>
void LogChanges::push(std::uint64_t hash, std::size_t size, const Parts&... parts) noexcept {
  Lane& lane = lanes_[hash % lane_count];
  {
    const std::lock_guard lock(lane.mutex);
    bool room = lane.queued.empty() || lane.queued.size() + size <= max_lane_bytes_;
    if (room && lane.queued.size() + size > lane.queued.capacity()) {
      try {
        lane.queued.reserve(std::max(lane.queued.size() + size, 2 * lane.queued.capacity()));
      } catch (const std::bad_alloc&) {
        room = false;
      }
    }
    if (room)
      (lane.queued.append(bytes_of(parts)), ...);
    else
      dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  if (asleep_.load() && asleep_.exchange(false)) wake();
}

template <class Table, class Key, class Value, LogChanges::Kind changed, LogChanges::Kind erased>
void LogChanges::watch(Table& table) {
  table.watch(
      Watcher::log,
      [](void* self, const Key& key, const Value* before, const Value* value) {
        auto& changes = *static_cast<LogChanges*>(self);
        if (value == nullptr) return changes.push(key.hash(), 1 + sizeof key, erased, key);
        if constexpr (requires { worth_logging(*value, *value); })
          if (before != nullptr && !worth_logging(*before, *value)) return;
        if constexpr (changed == Kind::session)
          changes.push(key.hash(), 1 + sizeof key + sizeof *value + 1, changed, key, *value,
                       before != nullptr);
        else
          changes.push(key.hash(), 1 + sizeof key + sizeof *value, changed, key, *value);
      },
      this);
}

void LogChanges::attach() {
  watch<LocalTable::Entries, SessionKey, LocalTable::Kept, Kind::session, Kind::forgotten_session>(
      memory_.learned.entries());
  watch<MoveMemory::Entries, SessionId, Move, Kind::move, Kind::forgotten_move>(memory_.moves.entries());
  watch<MoveMemory::Entries, SessionId, Move, Kind::move, Kind::forgotten_move>(memory_.moves.marks());
  watch<HandedOver::Entries, SessionId, HandedOver::Entry, Kind::hand_over, Kind::finished_hand_over>(
      memory_.handed.entries());
  if (memory_.values)
    memory_.values->watch(
        Watcher::log,
        [](void* self, const MemoryValues::Stored& s) {
          if (s.before != nullptr && !worth_logging(*s.before, s.value)) return;
          const ValueHead head{s.expires, static_cast<std::uint32_t>(s.key.size()),
                               static_cast<std::uint32_t>(s.value.size()), s.use};
          static_cast<LogChanges*>(self)->push(hash_text(s.key),
                                               1 + sizeof head + s.key.size() + s.value.size(), Kind::value,
                                               head, std::string_view(s.key), std::string_view(s.value));
        },
        this);
}

void LogChanges::detach() {
  memory_.learned.entries().watch(Watcher::log, nullptr, nullptr);
  memory_.moves.entries().watch(Watcher::log, nullptr, nullptr);
  memory_.moves.marks().watch(Watcher::log, nullptr, nullptr);
  memory_.handed.entries().watch(Watcher::log, nullptr, nullptr);
  if (memory_.values) memory_.values->watch(Watcher::log, nullptr, nullptr);
}

LogRecord LogChanges::take(std::string_view& queued) {
  switch (take_part<Kind>(queued)) {
    case Kind::session: {
      LoggedSession r;
      r.key = take_part<SessionKey>(queued);
      r.kept = take_part<LocalTable::Kept>(queued);
      r.proven = take_part<bool>(queued);
      return r;
    }
    case Kind::forgotten_session:
      return ForgottenSession{take_part<SessionKey>(queued)};
    case Kind::move: {
      LoggedMove r;
      r.id = take_part<SessionId>(queued);
      r.move = take_part<Move>(queued);
      return r;
    }
    case Kind::forgotten_move:
      return ForgottenMove{take_part<SessionId>(queued)};
    case Kind::hand_over: {
      LoggedHandOver r;
      r.id = take_part<SessionId>(queued);
      r.entry = take_part<HandedOver::Entry>(queued);
      return r;
    }
    case Kind::finished_hand_over:
      return FinishedHandOver{take_part<SessionId>(queued)};
    case Kind::value:
      break;
  }
  const auto head = take_part<ValueHead>(queued);
  LoggedValue r;
  r.key = take_text(queued, head.key_size);
  r.value = take_text(queued, head.value_size);
  r.expires = head.expires;
  r.use = head.use;
  return r;
}

bool LogChanges::anything_queued() {
  for (Lane& lane : lanes_) {
    const std::lock_guard lock(lane.mutex);
    if (!lane.queued.empty()) return true;
  }
  return false;
}

/// A change that is queued after the look finds `asleep_` set.
void LogChanges::wait_for_change(std::optional<std::chrono::milliseconds> at_most) {
  asleep_.store(true);
  if (!anything_queued()) {
    std::unique_lock lock(wake_mutex_);
    const auto woken = [this] { return woken_; };
    if (at_most)
      wake_.wait_for(lock, *at_most, woken);
    else
      wake_.wait(lock, woken);
  }
  asleep_.store(false);
  const std::lock_guard lock(wake_mutex_);
  woken_ = false;
}

void LogChanges::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(wake_mutex_);
  wake_.wait_for(lock, time, [this] { return woken_; });
  woken_ = false;
}

void LogChanges::wake() {
  {
    const std::lock_guard lock(wake_mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

}  // namespace remora
