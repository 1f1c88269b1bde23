// What a log of sessions tells: applied to the tables of a process that starts, and written anew from them.
// Pure: bytes in, bytes out.
//
// Threading: before anything is served (reading); any thread (writing).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "session/log_record.h"

namespace remora {

/// Reads a log piece by piece into the tables. What has expired is left out.
class LogRecovery {
 public:
  LogRecovery(SessionMemory& memory, ClockReading now) : memory_(memory), now_(now), times_(now) {}
  /// Takes all whole records off the front of `rest`. False: what follows is no log; there is no point in
  /// reading on. The first piece must contain the header.
  bool read(std::string_view& rest);
  /// Bytes taken so far: the part of the file that is whole.
  std::uint64_t whole() const noexcept { return whole_; }
  std::uint64_t records() const noexcept { return records_; }

  const std::map<std::string, std::uint16_t>& pool_numbers() const noexcept { return pool_numbers_; }
  /// The last one; empty: none.
  const std::string& sealed_index_key() const noexcept { return sealed_index_key_; }
  /// Drops the sessions of pools that are not among these, and returns the numbers of the others.
  std::map<std::string, std::uint16_t> keep_pools(const std::set<std::string>& names);

 private:
  void apply(const LogRecord& record);
  bool lives(std::uint32_t expires) const noexcept { return expires > times_.now(); }

  SessionMemory& memory_;
  const ClockReading now_;
  const LogTimes times_;
  std::map<std::string, std::uint16_t> pool_numbers_;
  std::string sealed_index_key_;
  std::uint64_t whole_ = 0, records_ = 0;
};

/// Everything that the tables hold and that has not expired, as records; without a header. `write` is called
/// with pieces of the text, while no table is locked. It returns false to give up.
void write_everything(SessionMemory& memory, ClockReading now,
                      const std::function<bool(std::string_view)>& write);

}  // namespace remora
