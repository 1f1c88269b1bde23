// The first event of a stream (WHATWG HTML 9.2.6), as MCP's servers write it (typescript-sdk #329).

#include "http/first_event.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

/// What was found; "-": it still waits.
std::string found(std::string_view stream, std::size_t piece) {
  FirstEvent event;
  for (std::size_t i = 0; i < stream.size(); i += piece)
    if (event.feed(stream.substr(i, piece))) return std::string(event.data());
  return "-";
}

TEST(FirstEvent, AnEndpointIsFoundHoweverItsBytesAreCut) {
  for (const char* stream : {
           "event: endpoint\ndata: /m?sessionId=u\n\n",
           "event:endpoint\r\ndata:/m?sessionId=u\r\n\r\n",
           "event: endpoint\rdata: /m?sessionId=u\r\r",
           "data: /m?sessionId=u\nevent: endpoint\nid: 1\n\n",
           "\xef\xbb\xbf"
           "event: endpoint\ndata: /m?sessionId=u\n\n",
           ": ping\n\nretry: 100\n\nevent: ping\ndata: {}\n\nevent: endpoint\ndata: /m?sessionId=u\n\nmore",
       })
    for (const std::size_t piece : {1UL, 2UL, 7UL, 1000UL})
      EXPECT_EQ(found(stream, piece), "/m?sessionId=u") << stream << piece;
}

TEST(FirstEvent, OtherEventsAreNobodysId) {
  EXPECT_EQ(found("data: /m?sessionId=u\n\n", 5), "-");
  EXPECT_EQ(found("event: endpoint\nevent: message\ndata: /m?sessionId=u\n\n", 5), "-");
  EXPECT_EQ(found("event: endpoint\ndata: /m?sessionId=u\n", 5), "-");  // not ended
}

TEST(FirstEvent, NoMoreThanAKiBIsLookedAt) {
  const std::string comments = ":" + std::string(2000, 'x') + "\n";
  EXPECT_EQ(found(comments + "event: endpoint\ndata: /m?sessionId=u\n\n", 100), "");
}

TEST(FirstEvent, LinesOfDataAreJoined) {
  EXPECT_EQ(found("event: endpoint\ndata: a\ndata: b\n\n", 3), "a\nb");
}

}  // namespace
}  // namespace remora
