#include "observe/access_log.h"

#include <fmt/format.h>

#include <cstdio>
#include <iterator>

#include "util/escape.h"
#include "util/utc_text.h"

namespace remora {

namespace {

double millis(std::chrono::nanoseconds t) {
  return std::chrono::duration<double, std::milli>(t).count();
}

}  // namespace

// Quoted fields are escaped; each later value is one word, or quoted. So a line can be parsed back, and
// untrusted text cannot look like another field.
void format_combined(const AccessEntry& e, std::string_view date, std::string& out) {
  char address[48];
  const auto word = [&](std::string_view name, std::string_view value) {
    out.append(name);
    append_word(out, value);
  };
  out.append(address, e.client.format(address)).append(" - - [").append(date).append("] \"");
  append_escaped_part(out, e.method);
  out += ' ';
  append_escaped_part(out, e.target);
  fmt::format_to(std::back_inserter(out), " HTTP/{}\" {} {} \"", e.version, e.status, e.bytes);
  append_escaped(out, e.referer);
  out += "\" \"";
  append_escaped(out, e.user_agent);
  out += "\" host=\"";
  append_escaped(out, e.host);
  out += '"';
  word(" id=", e.request_id);
  word(" pool=", e.pool);
  word(" backend=", e.backend);
  word(" affinity=", e.affinity);
  fmt::format_to(std::back_inserter(out), " reason={} epoch={} attempts={}", to_string(e.reason), e.epoch,
                 e.attempts);
  if (e.cause != Cause::none && e.cause != Cause::absent)
    fmt::format_to(std::back_inserter(out), " cause={}", to_string(e.cause));
  if (!e.failure.empty()) word(" failure=", e.failure);
  fmt::format_to(std::back_inserter(out), " queue={:.3f} connect={:.3f} first={:.3f} total={:.3f}\n",
                 millis(e.queue), millis(e.connect), millis(e.first_byte), millis(e.total));
}

void format_json(const AccessEntry& e, std::string& out) {
  char address[48];
  const std::string_view client(address, e.client.format(address));
  const auto text = [&](std::string_view name, std::string_view value) {
    out.append(",\"").append(name).append("\":\"");
    append_json_escaped(out, value);
    out += '"';
  };
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(e.when.time_since_epoch()).count();
  fmt::format_to(std::back_inserter(out), "{{\"time\":{}.{:03}", ms / 1000, ms % 1000);
  text("client", client);
  text("method", e.method);
  text("target", e.target);
  text("host", e.host);
  text("referer", e.referer);
  text("user_agent", e.user_agent);
  text("id", e.request_id);
  text("listener", e.listener);
  text("pool", e.pool);
  text("backend", e.backend);
  text("affinity", e.affinity);
  text("reason", to_string(e.reason));
  text("cause", to_string(e.cause));
  text("failure", e.failure);
  fmt::format_to(
      std::back_inserter(out),
      ",\"status\":{},\"bytes\":{},\"epoch\":{},\"attempts\":{},\"queue_ms\":{:.3f},\"connect_ms\":{:.3f},"
      "\"first_byte_ms\":{:.3f},\"total_ms\":{:.3f}}}\n",
      e.status, e.bytes, e.epoch, e.attempts, millis(e.queue), millis(e.connect), millis(e.first_byte),
      millis(e.total));
}

void AccessLog::write(const AccessEntry& e) {
  if (format_ == config::AccessFormat::json) {
    format_json(e, lines_);
  } else if (format_ == config::AccessFormat::combined) {
    const std::int64_t second =
        std::chrono::duration_cast<std::chrono::seconds>(e.when.time_since_epoch()).count();
    if (second != date_second_) {
      date_second_ = second;
      format_utc(date_, second, "%d/%b/%Y:%H:%M:%S +0000");
    }
    format_combined(e, date_, lines_);
  }
  if (lines_.size() >= hand_over_bytes) flush();
}

}  // namespace remora
