// Sessions of every kind in memory, and their log as bytes: for tests of the log.
#pragma once

#include <string>

#include "session/log_changes.h"
#include "session/log_recovery.h"

namespace remora::test {

inline SessionKey log_key(std::uint8_t n) {
  SessionKey key;
  key.mac.fill(n);
  return key;
}

inline SessionId log_id(std::uint8_t n) {
  SessionId id;
  id.bytes.fill(n);
  return id;
}

inline Binding log_binding(std::uint8_t n, std::uint64_t backend, ClockReading now, std::uint32_t epoch = 1) {
  Binding b;
  b.id = log_id(n);
  b.backend = backend;
  b.epoch = epoch;
  b.created = b.last_seen = now.wall;
  return b;
}

/// The value of the memory store under `key`; empty: none.
inline std::string log_value(SessionMemory& memory, const std::string& key, ClockReading now) {
  const auto found = memory.values->get(key, now.steady);
  return found ? found->value : "";
}

/// What is queued, as a log without a header.
inline std::string drained(LogChanges& changes, ClockReading now) {
  std::string out;
  const LogTimes times(now);
  changes.drain([&](const LogRecord& r) { append_log_record(out, r, times); });
  return out;
}

inline std::size_t records_in(std::string_view log) {
  std::size_t n = 0;
  while (take_log_frame(log).what == LogFrame::What::whole) ++n;
  return n;
}

}  // namespace remora::test
