#include "session/record.h"

#include <algorithm>

namespace remora {

namespace {
constexpr char format = 1;
constexpr std::uint8_t flag_ended = 1, flag_replaced = 2, flag_leave = 4, flag_state = 8, all_flags = 15;
constexpr std::size_t binding_size = 3 + 16 + 8 + 8 + 4 + 8 + 8, state_size = 4 + 8 + 8;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}
std::uint64_t take(std::string_view& from, int bytes) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | static_cast<std::uint8_t>(from[static_cast<std::size_t>(i)]);
  from.remove_prefix(static_cast<std::size_t>(bytes));
  return value;
}
std::uint64_t millis(Clock::Wall t) noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
}
/// Rejects times beyond the year 2190: remora wrote none, and the clock's nanoseconds would overflow.
constexpr std::uint64_t latest_ms = 7'000'000'000'000;
Clock::Wall wall(std::uint64_t ms, bool& sound) noexcept {
  sound = sound && ms <= latest_ms;
  return Clock::Wall(std::chrono::milliseconds(sound ? static_cast<std::int64_t>(ms) : 0));
}
}  // namespace

void KeptState::remove(Clock::Wall now, Clock::Wall sent) noexcept {
  using std::chrono::milliseconds;
  sealed.clear();
  expires = std::chrono::floor<milliseconds>(now);
  const auto took =
      sent == Clock::Wall() || sent > expires
          ? milliseconds(0)
          : std::chrono::duration_cast<milliseconds>(expires - std::chrono::floor<milliseconds>(sent));
  epoch = static_cast<std::uint32_t>(std::min<std::int64_t>(took.count(), 0xffffffffLL));
}

bool KeptState::was_deleted_since(Clock::Wall sent, Clock::Wall now) const noexcept {
  using std::chrono::milliseconds;
  if (version == 0 || !sealed.empty() || expires == Clock::Wall() || sent == Clock::Wall()) return false;
  const auto began = std::chrono::floor<milliseconds>(sent);
  return expires <= now && began < expires && began != expires - milliseconds(epoch);
}

std::string encode(const Record& r) {
  const bool state = r.state.version != 0;
  std::string out(1, format);
  put(out,
      (r.ended ? flag_ended : 0U) | (r.replaced ? flag_replaced : 0U) | (r.binding.leave ? flag_leave : 0U) |
          (state ? flag_state : 0U),
      1);
  put(out, static_cast<std::uint64_t>(r.reason), 1);
  out.append(reinterpret_cast<const char*>(r.binding.id.bytes.data()), r.binding.id.bytes.size());
  put(out, r.binding.backend, 8);
  put(out, r.binding.generation, 8);
  put(out, r.binding.epoch, 4);
  put(out, millis(r.binding.created), 8);
  put(out, millis(r.binding.last_seen), 8);
  if (!state) return out;
  put(out, r.state.epoch, 4);
  put(out, r.state.version, 8);
  put(out, millis(r.state.expires), 8);
  out += r.state.sealed;
  return out;
}

std::optional<Record> decode(std::string_view in) {
  if (in.size() < binding_size || in.front() != format) return std::nullopt;
  in.remove_prefix(1);
  Record r;
  bool sound = true;
  const auto flags = static_cast<std::uint8_t>(take(in, 1));
  const auto reason = static_cast<std::uint8_t>(take(in, 1));
  if ((flags & ~all_flags) != 0 || reason >= static_cast<std::uint8_t>(Reason::count_)) return std::nullopt;
  r.ended = (flags & flag_ended) != 0;
  r.replaced = (flags & flag_replaced) != 0;
  r.binding.leave = (flags & flag_leave) != 0;
  r.reason = static_cast<Reason>(reason);
  std::copy_n(in.begin(), r.binding.id.bytes.size(), r.binding.id.bytes.begin());
  in.remove_prefix(r.binding.id.bytes.size());
  r.binding.backend = take(in, 8);
  r.binding.generation = take(in, 8);
  r.binding.epoch = static_cast<std::uint32_t>(take(in, 4));
  r.binding.created = wall(take(in, 8), sound);
  r.binding.last_seen = wall(take(in, 8), sound);
  if (!sound || r.binding.epoch == 0) return std::nullopt;
  if ((flags & flag_state) == 0) return in.empty() ? std::optional(r) : std::nullopt;
  if (in.size() < state_size) return std::nullopt;
  r.state.epoch = static_cast<std::uint32_t>(take(in, 4));
  r.state.version = take(in, 8);
  r.state.expires = wall(take(in, 8), sound);
  if (!sound || r.state.version == 0) return std::nullopt;
  r.state.sealed = in;
  return r;
}

std::optional<std::uint64_t> last_use_in(std::string_view in) noexcept {
  if (in.size() < binding_size || in.front() != format) return std::nullopt;
  std::string_view stamp = in.substr(binding_size - 8);
  return take(stamp, 8);
}

bool same_but_last_use(std::string_view a, std::string_view b) noexcept {
  return a.substr(0, binding_size - 8) == b.substr(0, binding_size - 8) &&
         a.substr(binding_size) == b.substr(binding_size);
}

std::optional<Record> bind_rule(const std::optional<Record>& standing, const Record& wanted) {
  if (!standing) return wanted;
  if (standing->ended && !(standing->binding.id == wanted.binding.id)) return wanted;
  return std::nullopt;
}

bool gives_way(const Record& standing, const Record& wanted, std::span<const SessionId> over,
               const config::Session& lifetimes) noexcept {
  if (standing.binding.id == wanted.binding.id) return false;
  if (std::find(over.begin(), over.end(), standing.binding.id) != over.end()) return true;
  const Cause cause = judge_lifetime(standing.binding, lifetimes, wanted.binding.last_seen);
  return cause == Cause::idle || cause == Cause::too_old;
}

std::optional<Record> move_rule(const std::optional<Record>& standing, const Record& wanted) {
  if (!standing) return wanted;
  const Binding& now = standing->binding;
  // Another id: the name belongs to another session by now, whose state is not for this one.
  if (standing->ended || now.epoch >= wanted.binding.epoch || !(now.id == wanted.binding.id))
    return std::nullopt;
  Record next = wanted;
  next.replaced = standing->replaced;
  next.state = standing->state;
  return next;
}

std::optional<Record> bring_rule(const std::optional<Record>& standing, const Record& wanted,
                                 std::uint32_t writer) {
  if (!standing || standing->ended || !(standing->binding.id == wanted.binding.id))
    return bind_rule(standing, wanted);
  const KeptState &here = standing->state, &there = wanted.state;
  if (standing->binding.epoch > wanted.binding.epoch || here.version > there.version) return std::nullopt;
  if (standing->binding.epoch == wanted.binding.epoch) {
    if (here.version != 0) return std::nullopt;
    Record next = *standing;  // only the move was recorded
    next.state = there;
    return next;
  }
  // A deleted state uses `epoch` for something else.
  const bool both = here.version == there.version && !here.sealed.empty() && !there.sealed.empty();
  if (both && here.epoch > writer) return std::nullopt;
  return wanted;
}

std::optional<Record> refresh_rule(const std::optional<Record>& standing, const Record& wanted) {
  if (!standing) return wanted;
  const Binding& now = standing->binding;
  if (standing->ended || now.epoch > wanted.binding.epoch || !(now.id == wanted.binding.id))
    return std::nullopt;
  Record next = *standing;
  if (now.epoch < wanted.binding.epoch) {  // a move that the store has not received
    next.binding = wanted.binding;
    next.reason = wanted.reason;
    return next;
  }
  if (now.backend != 0 && now.backend != wanted.binding.backend) return std::nullopt;
  next.binding.backend = wanted.binding.backend;
  next.binding.last_seen = std::max(now.last_seen, wanted.binding.last_seen);
  next.binding.generation = std::max(now.generation, wanted.binding.generation);
  next.binding.leave = now.leave || wanted.binding.leave;
  return next;
}

std::optional<Record> rename_rule(const std::optional<Record>& standing, const Record& wanted) {
  if (!standing) return wanted;
  if (standing->ended || standing->binding.epoch > wanted.binding.epoch) return std::nullopt;
  Record next = *standing;
  next.binding = wanted.binding;
  return next;
}

std::optional<Record> end_rule(const std::optional<Record>& standing, const Record& wanted) {
  if (standing && !(standing->binding.id == wanted.binding.id)) return std::nullopt;
  Record over = wanted;
  over.state = {};
  return over;
}

std::optional<Record> save_rule(const std::optional<Record>& standing, const Record& writer,
                                std::uint64_t seen, const Seal& seal, Saved& outcome, SaveTimes times) {
  outcome = Saved::outdated;
  Record next = standing ? *standing : writer;
  const Binding& now = next.binding;
  const Binding& mine = writer.binding;
  if (next.ended || !(now.id == mine.id) || now.epoch > mine.epoch ||
      (now.epoch == mine.epoch && now.backend != 0 && now.backend != mine.backend) ||
      next.state.was_deleted_since(times.sent, times.answered))
    return std::nullopt;
  if (seen != 0 && seen != next.state.version) {
    outcome = Saved::conflict;
    return std::nullopt;
  }
  if (now.epoch < mine.epoch) {
    next.binding = mine;
    next.reason = writer.reason;
  }
  next.binding.backend = mine.backend;  // the session API does not name one
  next.state.expires = {};
  next.state.epoch = mine.epoch;
  ++next.state.version;
  next.state.sealed = seal(mine.epoch, next.state.version);
  if (next.state.sealed.empty() && times.answered != Clock::Wall())
    next.state.remove(times.answered, times.sent);
  outcome = Saved::saved;
  return next;
}

}  // namespace remora
