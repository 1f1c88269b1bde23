#include "observe/access_log.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <iterator>

namespace remora {

namespace {

/// Quotes, backslashes, controls and bytes that are not ASCII cannot break a line or fake another.
void append_escaped(std::string& out, std::string_view text, bool json) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < ' ' || u >= 0x7f) {
      out += json ? "\\u00" : "\\x";
      out += digits[u >> 4];
      out += digits[u & 15];
    } else {
      out += c;
    }
  }
}

double millis(std::chrono::nanoseconds t) {
  return std::chrono::duration<double, std::milli>(t).count();
}

std::string format_date(std::int64_t second) {
  const auto t = static_cast<std::time_t>(second);
  std::tm parts{};
  ::gmtime_r(&t, &parts);
  char text[40];
  const std::size_t n = std::strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S +0000", &parts);
  return std::string(text, n);
}

std::string_view or_dash(std::string_view s) {
  return s.empty() ? "-" : s;
}

}  // namespace

void format_combined(const AccessEntry& e, std::string_view date, std::string& out) {
  char address[48];
  out.append(address, e.client.format(address)).append(" - - [").append(date).append("] \"");
  append_escaped(out, e.method, false);
  out += ' ';
  append_escaped(out, e.target, false);
  fmt::format_to(std::back_inserter(out), " HTTP/1.{}\" {} {} \"", e.minor, e.status, e.bytes);
  append_escaped(out, or_dash(e.referer), false);
  out += "\" \"";
  append_escaped(out, or_dash(e.user_agent), false);
  out += "\" host=\"";
  append_escaped(out, or_dash(e.host), false);
  fmt::format_to(std::back_inserter(out),
                 "\" id={} pool={} backend={} affinity={} reason={} epoch={} attempts={}",
                 or_dash(e.request_id), or_dash(e.pool), or_dash(e.backend), or_dash(e.affinity),
                 to_string(e.reason), e.epoch, e.attempts);
  if (e.cause != Cause::none && e.cause != Cause::absent)
    fmt::format_to(std::back_inserter(out), " cause={}", to_string(e.cause));
  if (!e.failure.empty()) fmt::format_to(std::back_inserter(out), " failure={}", e.failure);
  fmt::format_to(std::back_inserter(out), " queue={:.3f} connect={:.3f} first={:.3f} total={:.3f}\n",
                 millis(e.queue), millis(e.connect), millis(e.first_byte), millis(e.total));
}

void format_json(const AccessEntry& e, std::string& out) {
  char address[48];
  const std::string_view client(address, e.client.format(address));
  const auto text = [&](std::string_view name, std::string_view value) {
    out.append(",\"").append(name).append("\":\"");
    append_escaped(out, value, true);
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
      date_ = format_date(second);
    }
    format_combined(e, date_, lines_);
  }
  if (lines_.size() >= hand_over_bytes) flush();
}

}  // namespace remora
