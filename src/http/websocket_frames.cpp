#include "http/websocket_frames.h"

#include <algorithm>

namespace remora {

void WebSocketFrames::feed(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    if (left_ > 0) {
      const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      left_ -= passed;
      bytes.remove_prefix(passed);
      continue;
    }
    const auto c = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    ++head_;
    if (head_ == 1) {
      constexpr unsigned opcode = 0x0f, close = 8;
      close_ = (c & opcode) == close;
      length_ = 0;
      head_size_ = 2;
    } else if (head_ == 2) {
      constexpr unsigned masked = 0x80, two_bytes = 126, eight_bytes = 127, mask_size = 4;
      const unsigned length = c & 0x7f;
      const std::size_t more = length == two_bytes ? 2 : length == eight_bytes ? 8 : 0;
      if (more == 0) length_ = length;
      length_end_ = 2 + more;
      head_size_ = length_end_ + ((c & masked) != 0 ? mask_size : 0);
    } else if (head_ <= length_end_) {
      length_ = length_ << 8 | c;
    }
    if (head_ >= 2 && head_ == head_size_) end_head();
  }
}

void WebSocketFrames::end_head() noexcept {
  head_ = 0;
  left_ = length_;
  closed_ = closed_ || close_;
}

}  // namespace remora
