// Where the frames of a WebSocket begin and end (RFC 6455 5.2).

#include "http/websocket_frames.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

std::string frame(unsigned first, std::size_t length, bool masked = false) {
  std::string out(1, static_cast<char>(first));
  const unsigned mask = masked ? 0x80 : 0;
  const auto number = [&](int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(length >> (8 * i) & 0xff);
  };
  if (length < 126) {
    out += static_cast<char>(mask | length);
  } else if (length < 65536) {
    out += static_cast<char>(mask | 126);
    number(2);
  } else {
    out += static_cast<char>(mask | 127);
    number(8);
  }
  if (masked) out += "mask";
  return out + std::string(length, '\x88');  // a payload that looks like frames
}

TEST(WebSocketFrames, EndBehindTheirPayloadHoweverTheyArrive) {
  for (const std::size_t length : {0UL, 1UL, 125UL, 126UL, 300UL, 65535UL, 65536UL, 70000UL})
    for (const bool masked : {false, true})
      for (const std::size_t piece : {1UL, 3UL, 1000UL, 100000UL}) {
        const std::string bytes = frame(0x82, length, masked) + frame(0x81, 2, masked);
        const std::size_t second = bytes.size() - frame(0x81, 2, masked).size();
        WebSocketFrames frames;
        EXPECT_TRUE(frames.between_frames());
        for (std::size_t at = 0; at < bytes.size();) {
          const std::string part = bytes.substr(at, piece);
          frames.feed(part);
          at += part.size();
          EXPECT_EQ(frames.between_frames(), at == second || at == bytes.size()) << length << " at " << at;
        }
        EXPECT_FALSE(frames.closed());
      }
}

TEST(WebSocketFrames, ControlFramesStandWithinAMessage) {
  WebSocketFrames frames;
  frames.feed(frame(0x01, 5));  // the message goes on
  EXPECT_TRUE(frames.between_frames());
  frames.feed(frame(0x89, 4));  // ping
  EXPECT_TRUE(frames.between_frames());
  EXPECT_FALSE(frames.closed());
}

TEST(WebSocketFrames, NothingFollowsAClose) {
  WebSocketFrames frames;
  frames.feed(frame(0x88, 2).substr(0, 1));
  EXPECT_FALSE(frames.between_frames());
  frames.feed(frame(0x88, 2).substr(1));
  EXPECT_TRUE(frames.closed());
  WebSocketFrames ours;
  ours.feed(websocket_going_away);
  EXPECT_TRUE(ours.between_frames());
  EXPECT_TRUE(ours.closed());
}

}  // namespace
}  // namespace remora
