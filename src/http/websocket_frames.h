// WebSocketFrames: where the frames of a WebSocket (RFC 6455 5.2) begin and end, while its bytes pass by. A
// frame of our own can be sent between two of them, also within a message (5.4).
//
// Reads the heads of frames only. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace remora {

class WebSocketFrames {
 public:
  void feed(std::string_view bytes) noexcept;
  /// The last frame that began is complete.
  bool between_frames() const noexcept { return head_ == 0 && left_ == 0; }
  /// The sender has closed: no frame may follow (5.5.1).
  bool closed() const noexcept { return closed_; }

 private:
  void end_head() noexcept;

  std::uint64_t left_ = 0;      // bytes of the payload to come
  std::uint64_t length_ = 0;    // as read so far
  std::size_t head_ = 0;        // bytes of an incomplete head
  std::size_t head_size_ = 2;   // of that head, as far as is known
  std::size_t length_end_ = 2;  // where in it the length ends
  bool closed_ = false, close_ = false;
};

/// A Close frame of a server with the status 1001: going away (7.4.1).
inline constexpr std::string_view websocket_going_away("\x88\x02\x03\xe9", 4);

}  // namespace remora
