// FloodGuard: notices a peer that sends many frames which cost work but carry nothing.
//
// It reads frame headers from the received bytes before nghttp2 does: nghttp2 reports neither unknown frames
// nor those of closed streams. Cheap frames (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA,
// CONTINUATION, unknown types) and streams that were reset take from an allowance. Time refills it, and so
// does useful work: responses, DATA in either direction. A peer that has used it up floods.
//
// Pure: bytes and times in, values out. The clock is read only when the allowance seems used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "remora/clock.h"

namespace remora {

class FloodGuard {
 public:
  /// Frames that may arrive at once, and how many a second after that. Enough for a page that is left while
  /// 128 of its requests are open.
  static constexpr std::int32_t allowance = 2000, per_second = 200;
  /// What costs more than one frame: a request that is reset (an exchange was started for nothing; a response
  /// earns it back, so that a proxy whose clients cancel every other request goes on), and
  /// SETTINGS (they may change every stream's window).
  static constexpr std::int32_t reset_cost = 3, settings_cost = 10;

  /// `preface`: bytes before the first frame (24 where we are the server).
  FloodGuard(const Clock& clock, std::size_t preface);

  /// Reads the headers of the frames in `bytes`, which may begin and end anywhere. False: the peer floods.
  bool feed(std::string_view bytes) noexcept;
  /// A stream ended by a reset before its response: the peer's (CVE-2023-44487), or ours that the peer
  /// provoked (CVE-2025-8671).
  void stream_reset() noexcept { take(reset_cost, "resets of streams"); }
  /// A response was sent completely.
  void response_sent() noexcept { give_back(3); }
  /// A DATA frame was sent. `whole`: with all bytes that there were. A frame that the peer's window cut short
  /// gives back only what its bytes are worth: windows of one byte each cost a frame in both directions
  /// (CVE-2019-9511). A client with windows of 256 bytes and more may open both after each frame.
  void data_sent(std::size_t bytes, bool whole) noexcept {
    give_back((whole ? 3 : 0) + static_cast<std::int32_t>(bytes / 128));
  }
  void data_received(std::size_t bytes) noexcept { give_back(static_cast<std::int32_t>(bytes / 512)); }

  /// The preface, a frame's header, or a header block has begun and is not complete.
  bool mid_head() const noexcept;
  bool floods() const noexcept { return floods_; }
  /// What the peer sent when the allowance was used up: static text for the log.
  const char* what() const noexcept { return what_; }

 private:
  void frame() noexcept;
  void take(std::int32_t cost, const char* what) noexcept;
  void give_back(std::int32_t n) noexcept { left_ = left_ + n < allowance ? left_ + n : allowance; }

  static constexpr std::size_t header_bytes = 9;

  const Clock& clock_;
  Clock::Steady refilled_;
  const char* what_ = "";
  std::size_t skip_;  // bytes before the next frame header
  std::int32_t left_ = allowance;
  bool floods_ = false;
  bool in_block_;             // CONTINUATION follows, or the preface is not complete
  std::uint8_t type_ = 0xff;  // of the last frame
  std::uint8_t have_ = 0;     // bytes of the header so far
  std::uint8_t header_[header_bytes] = {};
};

}  // namespace remora
