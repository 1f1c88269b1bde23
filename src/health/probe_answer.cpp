#include "health/probe_answer.h"

#include <algorithm>
#include <utility>

#include "util/text.h"

namespace remora {

namespace {
// max_line_bytes is for lines of the chunked coding.
constexpr std::size_t max_head_bytes = 64 * 1024, max_line_bytes = 4096;
constexpr unsigned max_interims = 100;

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
}  // namespace

void ProbeAnswer::take(std::string_view bytes) {
  while (!bytes.empty() && at_ != At::done && at_ != At::until_close) {
    if (at_ == At::body || at_ == At::chunk) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      bytes.remove_prefix(n);
      left_ -= n;
      if (left_ == 0) at_ = at_ == At::body ? At::done : At::chunk_end;
      continue;
    }
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (in_head()) head_bytes_ += piece.size() + 1;
    if (in_head() && head_bytes_ > max_head_bytes) return fail("head too long");
    if (!in_head() && line_.size() + piece.size() > max_line_bytes) return fail("line too long");
    line_.append(piece);
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    const std::string line = std::exchange(line_, {});
    take_line(line);
  }
}

/// Accepts a head without its empty line: some servers send only a status line.
void ProbeAnswer::end() {
  if (at_ == At::fields && !verdict_) judge();
  at_ = At::done;
}

void ProbeAnswer::take_line(std::string_view line) {
  switch (at_) {
    case At::status:
      return take_status(line);
    case At::fields:
      return line.empty() ? end_head() : take_field(line);
    case At::chunk_size: {
      left_ = 0;
      std::size_t digits = 0;
      constexpr std::size_t max_digits = 15;
      for (; digits < line.size() && digits < max_digits && hex_value(line[digits]) >= 0; ++digits)
        left_ = left_ * 16 + static_cast<unsigned>(hex_value(line[digits]));
      at_ = digits == 0 ? At::done : left_ > 0 ? At::chunk : At::trailers;
      return;
    }
    case At::chunk_end:
      at_ = line.empty() ? At::chunk_size : At::done;
      return;
    case At::trailers:
      if (line.empty()) at_ = At::done;
      return;
    default:
      return;
  }
}

/// Parses `HTTP/1.1 200 OK`; the reason and the blank before it may be missing.
void ProbeAnswer::take_status(std::string_view line) {
  const bool shaped = line.size() >= 12 && line.substr(0, 5) == "HTTP/" && is_digit(line[5]) &&
                      line[6] == '.' && is_digit(line[7]) && line[8] == ' ';
  const std::string_view code = shaped ? line.substr(9, 3) : std::string_view();
  const std::string_view rest = shaped ? line.substr(12) : std::string_view();
  if (!shaped || !std::all_of(code.begin(), code.end(), is_digit) || code[0] == '0' ||
      (!rest.empty() && rest[0] != ' '))
    return fail("malformed response");
  status_ = static_cast<unsigned>(parse_decimal(code).value_or(0));
  at_ = At::fields;
}

void ProbeAnswer::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view name = trim(line.substr(0, colon)), value = trim(line.substr(colon + 1));
  if (iequals(name, "content-length")) length_ = parse_decimal(value);
  if (iequals(name, "transfer-encoding"))
    for_each_token(value, [&](std::string_view coding) {
      chunked_ = iequals(coding, "chunked");
      return true;
    });
  if (iequals(name, "remora-generation")) generation_ = parse_decimal(value).value_or(0);
}

void ProbeAnswer::end_head() {
  const bool interim = status_ < 200 && status_ != 101;
  if (interim && ++interims_ > max_interims) return fail("too many interim responses");
  const auto length = std::exchange(length_, std::nullopt);
  const bool chunked = std::exchange(chunked_, false);
  if (interim) {
    generation_ = 0;
    at_ = At::status;
    return;
  }
  judge();
  left_ = length.value_or(0);
  if (status_ == 101 || status_ == 204 || status_ == 304)
    at_ = At::done;
  else if (chunked)
    at_ = At::chunk_size;
  else if (length)
    at_ = left_ > 0 ? At::body : At::done;
  else
    at_ = At::until_close;
}

void ProbeAnswer::judge() {
  verdict_ = ProbeVerdict{"status " + std::to_string(status_), generation_};
  for (const auto& [from, to] : probe_.expect)
    if (status_ >= from && status_ <= to) verdict_->failure.clear();
}

void ProbeAnswer::fail(std::string why) {
  if (!verdict_) verdict_ = ProbeVerdict{std::move(why), 0};
  at_ = At::done;
}

}  // namespace remora
