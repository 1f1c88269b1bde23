// Access log: one line per exchange: the request, the affinity result, the attempts, and the timings.
//
// Pure formatting over views. Threading: one AccessLog per worker.
#pragma once

#include <chrono>
#include <string>

#include "observe/log_writer.h"
#include "remora/affinity.h"
#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

struct AccessEntry {
  ClientAddress client;
  Clock::Wall when;
  std::string_view method, target, host, referer, user_agent, request_id;
  std::string_view version = "1.1";
  std::uint16_t status = 0;  // 0: no response was sent
  std::uint64_t bytes = 0;   // size of the response body
  std::string_view listener, pool, backend, affinity;
  Reason reason = Reason::none;
  Cause cause = Cause::none;
  std::uint32_t epoch = 0;
  unsigned attempts = 0;
  std::string_view failure;
  std::chrono::nanoseconds queue{0}, connect{0}, first_byte{0}, total{0};
};

/// Appends the line; escapes untrusted text.
void format_combined(const AccessEntry&, std::string_view date, std::string& out);
void format_json(const AccessEntry&, std::string& out);

class AccessLog {
 public:
  AccessLog(config::AccessFormat format, LogWriter* writer)
      : format_(writer != nullptr ? format : config::AccessFormat::off), writer_(writer) {}
  bool on() const noexcept { return format_ != config::AccessFormat::off; }
  void write(const AccessEntry&);
  void flush() {
    if (writer_ != nullptr) writer_->hand_over(lines_);
  }
  bool pending() const noexcept { return !lines_.empty(); }

 private:
  static constexpr std::size_t hand_over_bytes = 16 * 1024;
  config::AccessFormat format_;
  LogWriter* writer_;
  std::string lines_;
  std::int64_t date_second_ = -1;
  std::string date_;  // formatted date_second_
};

}  // namespace remora
