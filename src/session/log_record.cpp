#include "session/log_record.h"

#include <algorithm>
#include <cstring>

#include "util/hash.h"

namespace remora {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t frame_size = 4 + 8;
constexpr std::uint32_t max_payload = 1U << 30;
constexpr std::int64_t latest_ms = 7'000'000'000'000;  // the year 2190, as in record.cpp
constexpr std::uint8_t flag_ended = 1, flag_leave = 2, flag_replaced = 4, flag_proven = 8, all_flags = 15;

void put(std::string& out, std::uint64_t value, int bytes) {
  char text[8];
  for (int i = 0; i < bytes; ++i) text[i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
  out.append(text, static_cast<std::size_t>(bytes));
}
template <class Bytes>
void put_bytes(std::string& out, const Bytes& bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
void patch(std::string& out, std::size_t at, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out[at + static_cast<std::size_t>(i)] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
}

std::int64_t wall_time(std::uint64_t ms) noexcept {
  return static_cast<std::int64_t>(std::min(ms, static_cast<std::uint64_t>(latest_ms)));
}

/// Reads a payload front to back; `sound` turns false at its end, or at an impossible value.
struct Input {
  std::string_view rest;
  bool sound = true;
  std::uint64_t number(int bytes) noexcept {
    const auto size = static_cast<std::size_t>(bytes);
    if (rest.size() < size) {
      sound = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<std::uint8_t>(rest[i]);
    rest.remove_prefix(size);
    return value;
  }
  std::uint64_t time() noexcept {
    const std::uint64_t ms = number(8);
    sound = sound && ms <= static_cast<std::uint64_t>(latest_ms);
    return sound ? ms : 0;
  }
  template <class Bytes>
  void bytes(Bytes& out) noexcept {
    if (rest.size() < out.size()) {
      sound = false;
      return;
    }
    std::memcpy(out.data(), rest.data(), out.size());
    rest.remove_prefix(out.size());
  }
  Reason reason() noexcept {
    const std::uint64_t value = number(1);
    sound = sound && value < static_cast<std::uint64_t>(Reason::count_);
    return sound ? static_cast<Reason>(value) : Reason::none;
  }
  std::string_view text(std::size_t size) noexcept {
    if (rest.size() < size) {
      sound = false;
      return {};
    }
    const std::string_view out = rest.substr(0, size);
    rest.remove_prefix(size);
    return out;
  }
  bool done() const noexcept { return sound && rest.empty(); }
};

struct Writer {
  std::string& out;
  const LogTimes& times;

  void operator()(const LoggedSession& r) const {
    out += 'L';
    put_bytes(out, r.key.mac);
    const LocalTable::Kept& k = r.kept;
    put_bytes(out, k.id.bytes);
    put(out, k.backend, 8);
    put(out, k.generation, 8);
    put(out, k.epoch, 4);
    put(out, times.written(k.created), 8);
    put(out, times.written(k.seen), 8);
    put(out, times.written(k.expires), 8);
    put(out, k.pool, 2);
    put(out, static_cast<std::uint64_t>(k.reason), 1);
    put(out,
        (k.ended ? flag_ended : 0U) | (k.leave ? flag_leave : 0U) | (k.replaced ? flag_replaced : 0U) |
            (r.proven ? flag_proven : 0U),
        1);
  }
  void operator()(const ForgottenSession& r) const {
    out += 'l';
    put_bytes(out, r.key.mac);
  }
  void operator()(const LoggedMove& r) const {
    out += 'M';
    put_bytes(out, r.id.bytes);
    put(out, static_cast<std::uint64_t>(r.move.kind), 1);
    put(out, static_cast<std::uint64_t>(r.move.reason), 1);
    put(out, r.move.leave ? 1U : 0U, 1);
    put(out, r.move.epoch, 4);
    put(out, r.move.backend, 8);
    put(out, times.written(r.move.seen), 8);
    put(out, times.written(r.move.expires), 8);
  }
  void operator()(const ForgottenMove& r) const {
    out += 'm';
    put_bytes(out, r.id.bytes);
  }
  void operator()(const LoggedHandOver& r) const {
    out += 'H';
    put_bytes(out, r.id.bytes);
    put(out, r.entry.epoch, 4);
    put(out, times.written(r.entry.expires), 8);
  }
  void operator()(const FinishedHandOver& r) const {
    out += 'h';
    put_bytes(out, r.id.bytes);
  }
  void operator()(const LoggedValue& r) const {
    out += 'S';
    put(out, times.written(r.expires), 8);
    put(out, r.use.pool, 2);
    put(out, r.use.returning ? 1U : 0U, 1);
    put(out, r.key.size(), 2);
    out += r.key;
    out += r.value;
  }
  void operator()(const LoggedFilter& r) const {
    out += 'F';
    put(out, times.written(EndedFilter::expiry_in(r.bytes)), 8);
    out += r.bytes;
  }
  void operator()(const LoggedPool& r) const {
    out += 'P';
    put(out, r.number, 2);
    out += r.name;
  }
  void operator()(const LoggedIndexKey& r) const {
    out += 'I';
    out += r.sealed;
  }
};

LoggedSession read_session(Input& in, const LogTimes& times) {
  LoggedSession r{};
  in.bytes(r.key.mac);
  LocalTable::Kept& k = r.kept;
  in.bytes(k.id.bytes);
  k.backend = in.number(8);
  k.generation = in.number(8);
  k.epoch = static_cast<std::uint32_t>(in.number(4));
  k.created = std::min(times.tick(in.time()), times.now());
  const std::uint64_t seen = in.time(), expires = in.time();
  k.seen = std::min(times.tick(seen), times.now());
  // A clock that was set back since does not make sessions live longer than from now on.
  k.expires =
      std::min(times.tick(expires), k.seen + Ticks::of(milliseconds(expires - std::min(seen, expires))));
  k.checked = k.seen;
  k.pool = static_cast<std::uint16_t>(in.number(2));
  k.reason = in.reason();
  const std::uint64_t flags = in.number(1);
  in.sound = in.sound && (flags & ~std::uint64_t{all_flags}) == 0 && k.epoch != 0 && expires >= seen;
  k.ended = (flags & flag_ended) != 0;
  k.leave = (flags & flag_leave) != 0;
  k.replaced = (flags & flag_replaced) != 0;
  r.proven = (flags & flag_proven) != 0;
  return r;
}

LoggedMove read_move(Input& in, const LogTimes& times) {
  LoggedMove r{};
  in.bytes(r.id.bytes);
  const std::uint64_t kind = in.number(1);
  r.move.reason = in.reason();
  const std::uint64_t leave = in.number(1);
  r.move.epoch = static_cast<std::uint32_t>(in.number(4));
  r.move.backend = in.number(8);
  const std::uint64_t seen = in.time(), expires = in.time();
  in.sound =
      in.sound && kind <= static_cast<std::uint64_t>(Move::Kind::active) && leave <= 1 && expires >= seen;
  if (!in.sound) return r;
  r.move.kind = static_cast<Move::Kind>(kind);
  r.move.leave = leave == 1;
  r.move.seen = std::min(times.tick(seen), times.now());
  r.move.expires = std::min(times.tick(expires), r.move.seen + Ticks::of(milliseconds(expires - seen)));
  return r;
}

LoggedValue read_value(Input& in, const LogTimes& times) {
  LoggedValue r;
  r.expires = times.steady(in.time());
  r.use.pool = static_cast<std::uint16_t>(in.number(2));
  const std::uint64_t returning = in.number(1);
  in.sound = in.sound && returning <= 1;
  r.use.returning = returning == 1;
  r.key = in.text(static_cast<std::size_t>(in.number(2)));
  r.value = in.text(in.rest.size());
  return r;
}

LoggedFilter read_filter(Input& in, const LogTimes& times) {
  LoggedFilter r;
  const std::uint32_t expires = times.tick(in.time());
  r.bytes = in.text(in.rest.size());
  in.sound = in.sound && EndedFilter::set_expiry_in(r.bytes, expires);
  return r;
}

template <class Record>
std::optional<LogRecord> if_done(const Input& in, Record&& record) {
  if (!in.done()) return std::nullopt;
  return LogRecord(std::forward<Record>(record));
}

constexpr std::uint32_t period_ticks =
    static_cast<std::uint32_t>(milliseconds(log_use_period).count() / Ticks::length_ms);

}  // namespace

LogTimes::LogTimes(ClockReading now)
    : steady_(now.steady),
      now_(Ticks::at(now.steady)),
      wall_ms_(std::chrono::duration_cast<milliseconds>(now.wall.time_since_epoch()).count()) {}

std::uint64_t LogTimes::written(std::uint32_t tick) const noexcept {
  const std::int64_t ms = wall_ms_ + (std::int64_t{tick} - std::int64_t{now_}) * Ticks::length_ms;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(ms, 0, latest_ms));
}

std::uint64_t LogTimes::written(Clock::Steady time) const noexcept {
  const std::int64_t ms = wall_ms_ + std::chrono::duration_cast<milliseconds>(time - steady_).count();
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(ms, 0, latest_ms));
}

/// Rounds up, so that nothing ends early.
std::uint32_t LogTimes::tick(std::uint64_t ms) const noexcept {
  const std::int64_t ahead = wall_time(ms) - wall_ms_;
  const std::int64_t ticks =
      ahead >= 0 ? (ahead + Ticks::length_ms - 1) / Ticks::length_ms : ahead / Ticks::length_ms;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(std::int64_t{now_} + ticks, 0, 0xffffffffLL));
}

Clock::Steady LogTimes::steady(std::uint64_t ms) const noexcept {
  return steady_ + milliseconds(wall_time(ms) - wall_ms_);
}

std::string_view log_header() noexcept {
  return "remora sessions 1\n";
}

void append_log_record(std::string& out, const LogRecord& record, const LogTimes& times) {
  const std::size_t at = out.size();
  out.append(frame_size, '\0');
  std::visit(Writer{out, times}, record);
  const std::string_view payload = std::string_view(out).substr(at + frame_size);
  const std::uint64_t sum = hash_text(payload);
  patch(out, at, payload.size(), 4);
  patch(out, at + 4, sum, 8);
}

std::optional<LogRecord> decode_log_record(std::string_view payload, const LogTimes& times) {
  Input in{payload};
  switch (static_cast<char>(in.number(1))) {
    case 'L': {
      LoggedSession r = read_session(in, times);
      return if_done(in, std::move(r));
    }
    case 'l': {
      ForgottenSession r;
      in.bytes(r.key.mac);
      return if_done(in, r);
    }
    case 'M': {
      LoggedMove r = read_move(in, times);
      return if_done(in, r);
    }
    case 'm': {
      ForgottenMove r;
      in.bytes(r.id.bytes);
      return if_done(in, r);
    }
    case 'H': {
      LoggedHandOver r{};
      in.bytes(r.id.bytes);
      r.entry.epoch = static_cast<std::uint32_t>(in.number(4));
      r.entry.expires = times.tick(in.time());
      return if_done(in, r);
    }
    case 'h': {
      FinishedHandOver r;
      in.bytes(r.id.bytes);
      return if_done(in, r);
    }
    case 'S': {
      LoggedValue r = read_value(in, times);
      return if_done(in, r);
    }
    case 'F': {
      LoggedFilter r = read_filter(in, times);
      return if_done(in, std::move(r));
    }
    case 'P': {
      LoggedPool r;
      r.number = static_cast<std::uint16_t>(in.number(2));
      r.name = in.text(in.rest.size());
      return if_done(in, r);
    }
    case 'I': {
      LoggedIndexKey r;
      r.sealed = in.text(in.rest.size());
      return if_done(in, r);
    }
    default:
      return std::nullopt;
  }
}

LogFrame take_log_frame(std::string_view& rest) noexcept {
  LogFrame frame;
  frame.what = LogFrame::What::short_;
  if (rest.size() < frame_size) return frame;
  Input in{rest};
  const std::uint64_t size = in.number(4), sum = in.number(8);
  if (size == 0 || size > max_payload) {
    frame.what = LogFrame::What::broken;
    return frame;
  }
  if (in.rest.size() < size) return frame;
  frame.payload = in.rest.substr(0, size);
  if (hash_text(frame.payload) != sum) {
    frame.what = LogFrame::What::broken;
    return frame;
  }
  frame.what = LogFrame::What::whole;
  rest.remove_prefix(frame_size + size);
  return frame;
}

bool worth_logging(const LocalTable::Kept& a, const LocalTable::Kept& b) noexcept {
  return !(a.id == b.id) || a.backend != b.backend || a.generation != b.generation || a.epoch != b.epoch ||
         a.created != b.created || a.pool != b.pool || a.reason != b.reason || a.ended != b.ended ||
         a.leave != b.leave || a.replaced != b.replaced || a.seen / period_ticks != b.seen / period_ticks;
}

bool worth_logging(const Move& a, const Move& b) noexcept {
  return a.kind != b.kind || a.reason != b.reason || a.leave != b.leave || a.epoch != b.epoch ||
         a.backend != b.backend || a.seen / period_ticks != b.seen / period_ticks;
}

bool worth_logging(std::string_view a, std::string_view b) noexcept {
  const auto used_a = last_use_in(a), used_b = last_use_in(b);
  if (!used_a || !used_b || a.size() != b.size()) return true;
  const auto period = static_cast<std::uint64_t>(milliseconds(log_use_period).count());
  return *used_a / period != *used_b / period || !same_but_last_use(a, b);
}

}  // namespace remora
