// The log of sessions on disk, as bytes: what survives this process (server/session_log.h). Pure.
//
//   file:    "remora sessions 1\n", then records
//   record:  size of the payload 4, XXH3 of the payload 8, payload
//   payload: kind 1, then by kind (numbers are big-endian, times wall clock in ms):
//     L  learned session: key 32, id 16, backend 8, generation 8, epoch 4, created 8, seen 8, expires 8, pool
//     2,
//        reason 1, flags 1                                l  its key was forgotten: key 32
//     M  move, or mark of a session that is over: id 16, kind 1, reason 1, leave 1, epoch 4, backend 8, seen
//     8,
//        expires 8                                        m  it was erased: id 16
//     H  hand-over in progress: id 16, epoch 4, expires 8 h  it is over: id 16
//     S  value of the memory store, states in it sealed: expires 8, pool 2, returning 1, size of the key 2,
//     key,
//        value
//     F  filter of marks (ended_marks.h): expires 8, its bytes
//     P  number of a pool: number 2, name                 I  the index key, sealed
//
// The last record about a key stands. A record of an unknown kind is skipped. What follows the first record
// that is not whole is no part of the log: appending may have been interrupted anywhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "session/memory.h"

namespace remora {

struct LoggedSession {
  SessionKey key;
  LocalTable::Kept kept;
  bool proven = false;  // the client came back to it
};
struct ForgottenSession {
  SessionKey key;
};
struct LoggedMove {
  SessionId id;
  Move move;
};
struct ForgottenMove {
  SessionId id;
};
struct LoggedHandOver {
  SessionId id;
  HandedOver::Entry entry;
};
struct FinishedHandOver {
  SessionId id;
};
struct LoggedValue {
  std::string_view key, value;  // borrowed
  Clock::Steady expires;
  StoreUse use;
};
struct LoggedFilter {
  std::string bytes;
};
struct LoggedPool {
  std::uint16_t number = 0;
  std::string_view name;  // borrowed
};
struct LoggedIndexKey {
  std::string_view sealed;  // borrowed
};
using LogRecord = std::variant<LoggedSession, ForgottenSession, LoggedMove, ForgottenMove, LoggedHandOver,
                               FinishedHandOver, LoggedValue, LoggedFilter, LoggedPool, LoggedIndexKey>;

/// Converts times of this process to wall time and back. The steady clock begins anew with the machine.
class LogTimes {
 public:
  explicit LogTimes(ClockReading now);
  std::uint64_t written(std::uint32_t tick) const noexcept;
  std::uint64_t written(Clock::Steady time) const noexcept;
  /// Times outside of what ticks can express become the nearest one.
  std::uint32_t tick(std::uint64_t ms) const noexcept;
  Clock::Steady steady(std::uint64_t ms) const noexcept;
  std::uint32_t now() const noexcept { return now_; }

 private:
  const Clock::Steady steady_;
  const std::uint32_t now_;
  const std::int64_t wall_ms_;
};

std::string_view log_header() noexcept;
void append_log_record(std::string& out, const LogRecord& record, const LogTimes& times);
/// Nothing: of an unknown kind, or malformed.
std::optional<LogRecord> decode_log_record(std::string_view payload, const LogTimes& times);

/// Takes the next record off the front of `rest`.
struct LogFrame {
  enum class What : std::uint8_t {
    whole,
    short_,  // `rest` ends within it; `rest` is unchanged
    broken   // no record; `rest` is unchanged
  } what = What::whole;
  std::string_view payload;
};
LogFrame take_log_frame(std::string_view& rest) noexcept;

/// An entry's time of last use may be older in the log than in memory, by this much: a session that is merely
/// used is logged once per period.
inline constexpr std::chrono::minutes log_use_period{1};
/// Whether a change is worth a record: more than a use within the same period.
bool worth_logging(const LocalTable::Kept& before, const LocalTable::Kept& after) noexcept;
bool worth_logging(const Move& before, const Move& after) noexcept;
bool worth_logging(std::string_view before, std::string_view after) noexcept;

}  // namespace remora
