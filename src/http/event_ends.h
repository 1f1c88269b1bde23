// EventEnds: whether an event stream (WHATWG HTML 9.2.6) is between two events, while its bytes pass by. It
// can end there without a loss.
//
// Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora {

class EventEnds {
 public:
  void feed(std::string_view bytes) noexcept {
    if (bytes.size() > sizeof last_) bytes.remove_prefix(bytes.size() - sizeof last_);
    for (const char c : bytes) last_ = last_ << 8 | static_cast<unsigned char>(c);
  }
  /// Nothing has passed yet, or the last line was empty. Lines end in LF, CR or CR LF.
  bool between_events() const noexcept {
    constexpr std::uint32_t lf = '\n', cr = '\r';
    const std::uint32_t two = last_ & 0xffff, three = last_ & 0xffffff;
    return last_ == 0 || two == (lf << 8 | lf) || two == (cr << 8 | cr) ||
           three == (lf << 16 | cr << 8 | lf) || last_ == (cr << 24 | lf << 16 | cr << 8 | lf);
  }

 private:
  std::uint32_t last_ = 0;  // the last four bytes
};

}  // namespace remora
