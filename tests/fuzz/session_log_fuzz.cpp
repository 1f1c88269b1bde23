// A log of sessions as it may lie on a disk: read as far as it is whole, in one piece or in two with the same
// result; and what was read can be written and read again.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "session/log_recovery.h"

using namespace remora;

namespace {

const ClockReading now{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500'000))};

std::string everything(SessionMemory& memory) {
  std::string out(log_header());
  write_everything(memory, now, [&](std::string_view bytes) {
    out += bytes;
    return true;
  });
  return out;
}

void read(std::string_view log) {
  SessionMemory memory(1000), in_pieces(1000), again(1000);
  LogRecovery recovery(memory, now), piecewise(in_pieces, now);
  std::string_view rest = log;
  recovery.read(rest);
  if (recovery.whole() > log.size()) std::abort();
  std::string_view half = log.substr(0, std::max(log.size() / 2, std::min(log.size(), log_header().size())));
  if (piecewise.read(half)) {
    rest = log.substr(static_cast<std::size_t>(piecewise.whole()));
    piecewise.read(rest);
  }
  if (piecewise.whole() != recovery.whole()) std::abort();
  recovery.keep_pools({"app"});
  const std::string said = everything(memory);
  LogRecovery last(again, now);
  rest = said;
  if (!last.read(rest) || !rest.empty()) std::abort();
  if (again.learned.size() != memory.learned.size() || again.moves.size() != memory.moves.size())
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  // A sum over the payload would stop the fuzzer, so each input is a payload, too.
  const LogTimes times(now);
  if (const auto record = decode_log_record(bytes, times)) {
    std::string log(log_header());
    append_log_record(log, *record, times);
    append_log_record(log, LoggedPool{0, "app"}, times);
    read(log);
  }
  return 0;
}
