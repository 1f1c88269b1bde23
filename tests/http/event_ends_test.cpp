// Where an event stream can end (WHATWG HTML 9.2.6).

#include "http/event_ends.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

TEST(EventEnds, AnEmptyLineEndsAnEventHoweverLinesEnd) {
  struct Row {
    std::string bytes;
    bool between;
  };
  for (const Row& row : {
           Row{"", true},
           Row{"data: x", false},
           Row{"data: x\n", false},
           Row{"data: x\n\n", true},
           Row{"data: x\r\n", false},
           Row{"data: x\r\n\r", false},
           Row{"data: x\r\n\r\n", true},
           Row{"data: x\r\r", true},
           Row{"data: x\n\r\n", true},
           Row{"data: x\r\n\n", true},
           Row{": still there\n\n", true},
           Row{"data: x\n\ndata", false},
       }) {
    EventEnds whole, single;
    whole.feed(row.bytes);
    for (const char c : row.bytes) single.feed({&c, 1});
    EXPECT_EQ(whole.between_events(), row.between) << ::testing::PrintToString(row.bytes);
    EXPECT_EQ(single.between_events(), row.between) << ::testing::PrintToString(row.bytes);
  }
}

}  // namespace
}  // namespace remora
