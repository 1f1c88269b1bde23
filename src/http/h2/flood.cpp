#include "http/h2/flood.h"

#include <algorithm>
#include <chrono>

namespace remora {

namespace {
// Frame types (RFC 9113 6, RFC 9218 7.1) and flags.
enum Type : std::uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  ping = 6,
  window_update = 8,
  continuation = 9,
  priority_update = 16
};
constexpr std::uint8_t end_stream = 1, ack = 1, end_headers = 4, padded = 8;
/// A padded frame of up to this size may be nothing but padding.
constexpr std::size_t longest_padding = 256;
}  // namespace

FloodGuard::FloodGuard(const Clock& clock, std::size_t preface)
    : clock_(clock), refilled_(clock.steady_now()), skip_(preface), in_block_(preface > 0) {}

bool FloodGuard::feed(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const std::size_t n = std::min(skip_, bytes.size());
      skip_ -= n;
      bytes.remove_prefix(n);
      continue;
    }
    const std::size_t n = std::min(header_bytes - have_, bytes.size());
    std::copy_n(bytes.data(), n, header_ + have_);
    have_ = static_cast<std::uint8_t>(have_ + n);
    bytes.remove_prefix(n);
    if (have_ == header_bytes) frame();
  }
  return !floods_;
}

/// A frame begins, whose header is complete.
void FloodGuard::frame() noexcept {
  have_ = 0;
  skip_ = std::size_t{header_[0]} << 16 | std::size_t{header_[1]} << 8 | header_[2];
  const std::uint8_t type = header_[3], flags = header_[4];
  type_ = type;
  in_block_ = (type == headers || type == continuation) && (flags & end_headers) == 0;
  switch (type) {
    case data: {
      const bool carries = skip_ > 0 && ((flags & padded) == 0 || skip_ > longest_padding);
      if (!carries && (flags & end_stream) == 0) take(1, "empty DATA frames");
      break;
    }
    case headers:
      break;
    case continuation:
      return take(1, "CONTINUATION frames");
    case settings:
      return take((flags & ack) != 0 ? 1 : settings_cost, "SETTINGS frames");
    case ping:
      return take(1, "PING frames");
    case rst_stream:
      return take(1, "RST_STREAM frames");
    case priority:
    case priority_update:
      return take(1, "PRIORITY frames");
    case window_update:
      return take(1, "WINDOW_UPDATE frames");
    default:
      return take(1, "unknown frames");
  }
}

bool FloodGuard::mid_head() const noexcept {
  return in_block_ || (skip_ > 0 && (type_ == headers || type_ == continuation)) || have_ > 0;
}

void FloodGuard::take(std::int32_t cost, const char* what) noexcept {
  left_ -= cost;
  if (left_ >= 0 || floods_) return;
  const Clock::Steady now = clock_.steady_now();
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - refilled_).count();
  refilled_ = now;
  give_back(static_cast<std::int32_t>(std::min<std::int64_t>(passed * per_second / 1000, allowance)));
  floods_ = left_ < 0;
  if (floods_) what_ = what;
}

}  // namespace remora
